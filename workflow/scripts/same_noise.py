"""Draw what a teacher and its students make of the same noise."""

from get.runtime.log import logging_to

SHOWN = 5  # the first held-out pairs, uncurated

with logging_to(snakemake.log[0]):
    from get.paper.grids import same_noise
    from get.sampling.students import answer
    from get.storage.reading import read_json

    settings = read_json(snakemake.input.settings)
    answers = [
        answer(
            weights=student["weights"],
            held_out=snakemake.input.held_out,
            count=SHOWN,
            precision=settings["precision"],
            device=snakemake.params.device,
        )
        for student in settings["students"]
    ]
    names = [student["label"] for student in settings["students"]]
    images = list(zip(names, (found.student for found in answers), strict=True))
    first, *_ = answers
    same_noise(first.noise, first.teacher, images, first.labels, snakemake.output)
