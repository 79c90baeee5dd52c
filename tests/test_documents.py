"""Documents, and those that sum up: the overview, costs, provenance."""

import base64
import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from fabricate_results import VIT, costs, row, run, teacher_run

from get.paper import documents
from get.paper.claims import SIGNS, Claim, Judgement, Kind, Topic, Verdict, corrected
from get.paper.documents import Bullets, Heading, Note, Paragraph, Picture, Table
from get.paper.naming import distance_called
from get.paper.provenance import commit, processor, provenance, provenance_page
from get.paper.reproduction import reproduction
from get.paper.results import CostsFile, Row
from get.paper.summary import costs_page, count_orderings, findings, overview_text
from get.paper.tables import table1
from get.storage.atomic import write_text
from get.storage.hashing import sha256

REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN, NO_SCORE = map(
    Judgement,
    (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.UNDECIDED, Verdict.NOT_RUN, Verdict.NO_SCORE),
)


def test_a_document_in_every_format() -> None:
    cells = pd.DataFrame({"a & b": ["<b>", "G|T"], "verdict": ["not reproduced (single run)", "not run"]})
    table = Table(cells, ["a & b", "verdict"], SIGNS)
    blocks = [Heading("1 < 2"), Paragraph("a_b *c*", "Lead."), Bullets(["x"]), table, Note("1 & 2")]
    page = documents.html("x < y", blocks)
    assert "<title>x &lt; y</title>" in page
    assert "<h2>1 &lt; 2</h2>" in page
    assert "<b>Lead.</b> a_b *c*</p>" in page
    assert "<li>x</li>" in page
    assert '<th scope="col" class="words">a &amp; b</th>' in page
    assert '<th scope="row" class="words">&lt;b&gt;</th>' in page
    assert "✗&nbsp;not reproduced (single run)</span></td>" in page
    assert '<td class="words">not run</td>' in page
    divided = Table(pd.DataFrame({"a": ["x", "divider"], "b": ["1", ""]}), ["a"])
    assert documents.html("", [divided]).count('<tr class="divider">') == 1
    assert '<p class="note">1 &amp; 2</p>' in page
    text = documents.markdown(blocks)
    assert text.startswith("## 1 < 2\n\n**Lead.** a\\_b \\*c\\*\n\n- x\n\n| a & b ")
    assert "| G\\|T " in text
    assert text.endswith("|\n\n1 & 2\n")


def test_the_distance_has_the_name_of_the_features(tmp_path: Path) -> None:
    """FID is Inception's. Captions, which may speak of the paper's, stay as they are, and so do pictures."""
    (tmp_path / "x.png").write_bytes(base64.b64decode("AA/FID/FID+AFIDA"))
    table = Table(pd.DataFrame({"FID (train)": ["FID 2", "FIDELITY"]}), ["FID (train)"])
    blocks = [Heading("FID"), Paragraph("a lower FID."), Picture(tmp_path / "x.png", "FID over steps"), table]
    paper = Note("The paper has FID 10.72.")

    def texts() -> list[str]:
        return [documents.markdown(blocks), documents.html("FID", blocks), documents.latex(table, "", "x")]

    plain = texts()
    with distance_called("FD"):
        found = [*texts(), documents.csv(pd.DataFrame({"fid_train": [1.0], "claim": ["FID falls"]}))]
    assert texts() == plain
    assert found[-1] == "fid_train,claim\n1,FD falls\n"
    for before, after in zip(plain, found, strict=False):
        assert "FID (train)" in before
        assert "FD (train)" in after
        assert "FIDELITY" in after
        assert "FID" not in after.replace("FIDELITY", "").replace("AA/FID/FID+AFIDA", "")
    assert "base64,AA/FID/FID+AFIDA" in found[1]
    with distance_called("FD"):
        assert documents.markdown([paper]) == "The paper has FID 10.72.\n"


def test_the_findings_follow_the_results() -> None:
    small, large = row("GET-S", run(12.0)), row("GET-L", run(8.0))
    table = table1([small, large, Row("EDM teacher", [teacher_run()])], cifar10=False)
    table["student"] = table["student"].replace("", None)
    against = [([small], [row("ViT", run(9.0, VIT))]), ([large], [row("ViT-L", run(9.0, VIT))])]
    tables = {"2": [small, large], "4": [row("ViT", run(9.0, VIT)), small]}
    claims = reproduction(tables, [], cifar10=False, against=against)
    found = findings(table, claims)
    assert found[0].startswith("With classes given, the best of 2 students by FID, GET-L, has an FID of 8.00")
    assert "its teacher has an FID of 3.00 (± 1.00) against the train split with 35 evaluations" in found[0]
    assert found[1] == (
        "A GET beside the ViT of its size, at equal steps: its FID is higher (single run) in 1, lower (single"
        " run) in 1 of 2 pairs."
    )
    assert found[4].startswith("a GET matches a ViT of five times its size: not run")
    refuted = [c for c in claims if c.kind is Kind.ORDERING and c.judgement.verdict is Verdict.NOT_REPRODUCED]
    assert f"{len(refuted)} not reproduced" in found[-2]
    assert found[-1].endswith("not comparable.")
    text = overview_text(["a_b *c*"], "scope")
    assert r"- a\_b \*c\*" in text
    assert "\n\n**The answer of this experiment**\n\n" in text


@pytest.mark.parametrize(
    ("judgements", "sentence"),
    [
        ([REPRODUCED, NOT_RUN], "Yes: of 1 measured ordering, 1 reproduced, 0 not"),
        (
            [Judgement(Verdict.REPRODUCED, single_run=True), UNDECIDED],
            "In part: of 2 measured orderings, 1 reproduced (1 of them by a single run), 0 not",
        ),
        (
            [NOT_REPRODUCED, NO_SCORE],
            "Nothing of it is shown: of 1 measured ordering, 0 reproduced",
        ),
        ([NO_SCORE, UNDECIDED], "1 undecided; 1 could not be compared"),
        ([NOT_RUN], "could not be judged"),
    ],
)
def test_orderings_are_counted(judgements: list[Judgement], sentence: str) -> None:
    claims = [Claim(str(n), Topic.SIZE, "", judgement) for n, judgement in enumerate(judgements)]
    assert sentence in count_orderings(claims)


def test_orderings_are_counted_together_too() -> None:
    claims = [Claim(str(p), Topic.SIZE, "", REPRODUCED, p=p) for p in (0.001, 0.04)]
    assert "any false decision" not in count_orderings(claims[:1])
    claims += [Claim("one seed", Topic.SIZE, "", UNDECIDED), Claim("third", Topic.SIZE, "", UNDECIDED, p=0.5)]
    sentence = "any false decision among the 3 over seeds (Holm): 1 reproduced, 0 not reproduced, 2 undecided"
    assert sentence in count_orderings(corrected(claims))


def test_costs_are_shown_for_every_student() -> None:
    found = CostsFile(device="CPU, 1 thread", students={"get": costs(), "vit": costs(2.0)})
    page = costs_page(found, {"get": "GET", "vit": "ViT"}, "A caption.")
    for text in ("GET, O(1) memory", "10.00 (9.00 to 11.00)", "6 iterations", "600.0", "CPU, 1 thread"):
        assert text in page


def test_provenance_names_versions_hashes_and_durations(tmp_path: Path) -> None:
    weights, benchmarks = tmp_path / "results/a.safetensors", tmp_path / "results/benchmarks"
    write_text(weights, "weights")
    (benchmarks / "score").mkdir(parents=True)
    for name, seconds in (("score/x", 2.0), ("score/y", 4.0), ("costs", 1.0)):
        (benchmarks / f"{name}.jsonl").write_text(json.dumps({"s": seconds, "max_rss": "NA"}))
    given = {"seeds": {"student get": [0, 1]}, "measured_on": "CPU", "folder": tmp_path / "results"}
    given |= {"config": "abc", "threads": {"student": 1, "score": 2}}
    found = provenance(files=[weights], benchmarks=benchmarks, **given)
    assert found["sha256"] == {"a.safetensors": sha256(weights)}
    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert (rules["score"]["jobs"], rules["score"]["seconds"], rules["score"]["median"]) == (2, 6.0, 3.0)
    page = provenance_page(json.loads(json.dumps(found)))
    for text in (sha256(weights), "0, 1", "torch", ">6.0<"):
        assert text in page
    assert found["source"]["fingerprint of the config"] == "abc"
    assert found["machine"]["threads of jobs"] == "student 1, score 2"
    assert processor()
    empty = provenance(files=[], benchmarks=tmp_path / "none", **given)
    assert "No rule has kept its record" in provenance_page(empty)


def test_the_commit_and_whether_files_have_changed_since(tmp_path: Path) -> None:
    assert commit(tmp_path) == {"commit": "not known"}
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    write_text(tmp_path / "a", "one")
    for command in (["init", "-q"], ["add", "a"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    write_text(tmp_path / "results", "not in the commit, but no change either")
    found = commit(tmp_path)
    assert len(found["commit"]) == 40
    assert found["files"] == "as in the commit"
    write_text(tmp_path / "a", "two")
    assert commit(tmp_path)["files"] == "changed since"
