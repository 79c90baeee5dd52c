"""Draw what a teacher and its students make of the same noise, and a page of it."""

from get.runtime.log import job

SHOWN = 5  # the first held-out pairs, uncurated

with job(snakemake.log[0]):
    from get.paper.documents import write_figure_page
    from get.paper.grids import same_noise
    from get.sampling.comparison import compare_held_out
    from get.storage.reading import read_json

    settings = read_json(snakemake.input.settings)
    found = compare_held_out(
        students=[(student["label"], student["weights"]) for student in settings["students"]],
        held_out=snakemake.input.held_out,
        count=SHOWN,
        precision=settings["precision"],
        device=snakemake.params.device,
    )
    output = snakemake.output
    same_noise(*found.arrays(), [output.pdf, output.png], settings.get("classes", []))
    title = f"The same noise: {snakemake.wildcards.pairs}"
    write_figure_page(title, output.png, snakemake.params.caption, output.html)
