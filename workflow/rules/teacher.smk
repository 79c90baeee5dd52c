# Diffusion teachers, trained with EDM's loss.


rule train_teacher:
    input:
        "<results>/data/images.h5",
    output:
        weights="<results>/teachers/{teacher}.safetensors",
        history="<results>/teachers/{teacher}.json",
    log:
        "<results>/logs/train_teacher/{teacher}.log",
    benchmark:
        "<results>/benchmarks/train_teacher/{teacher}.jsonl"
    priority: 100
    conda:
        "../../envs/get.yaml"
    threads: threads_of("teacher")
    resources:
        **asks("teacher"),
    params:
        settings=as_json("teachers/{teacher}"),
        seed=config["seed"],
        device=device,
    shell:
        "python -m get train-teacher --store {input} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --threads {threads} --output {output.weights} --history {output.history} > {log} 2>&1"
