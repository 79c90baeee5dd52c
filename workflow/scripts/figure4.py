"""Draw one part of Figure 4, and a page of it: uncurated samples (a), or a row per class (b)."""

from get.runtime.log import job

SHOWN = 1000  # the first samples hold enough of each class

with job(snakemake.log[0]):
    from get.paper.documents import write_figure_page
    from get.paper.grids import figure4a, figure4b
    from get.sampling.files import open_samples
    from get.storage.reading import read_json

    output, params = snakemake.output, snakemake.params
    pictures = [output.pdf, output.png]
    settings = read_json(snakemake.input.settings)
    label, names = settings["label"], settings.get("classes", [])
    with open_samples(snakemake.input.samples) as content:
        headline, *_ = content.variants.values()
        images, labels = headline[:SHOWN], content.labels[:SHOWN]
    if snakemake.wildcards.grid == "figure4a":
        figure4a(images, f"{label}, unconditional: one evaluation", pictures)
    else:
        figure4b(images, labels, f"{label}, class-conditional: one evaluation", pictures, names=names)
    write_figure_page(params.title, output.png, params.caption, output.html)
