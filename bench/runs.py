"""Several seeds of one recipe as one result: python bench/runs.py RUN... writes results/runs/<recipe>.json for each recipe among them."""

import json
import sys
from collections import defaultdict
from pathlib import Path

from convatlas.intervals import over_seeds
from convatlas.run import open_run

RESULTS = Path(__file__).parent.parent / "results" / "runs"


def main(folders: list[str]) -> None:
    found = defaultdict(list)
    for folder in folders:
        run = open_run(Path(folder))
        found[run.name].append(run.result())
    for name, results in found.items():
        results.sort(key=lambda result: result["seed"])
        errors = [result["top1_error"] for result in results]
        centre, interval = over_seeds(errors) if len(errors) > 1 else (errors[0], results[0]["interval"])
        summary = {
            "recipe": name,
            "top1_error": round(centre, 4),
            "interval": [round(v, 4) for v in interval],
            "interval_kind": "Student's, 95 %, over seeds" if len(errors) > 1 else "Wilson's, 95 %, over the test pictures of the one run",
            "published": results[0]["published"],
            "seeds": [result["seed"] for result in results],
            "errors": errors,
            "n": results[0]["n"],
            "seconds": [result["seconds"] for result in results],
            "command": f"convatlas train {name} --seed N",
            "environment": results[-1]["environment"],
            "commits": [result["environment"]["commit"] for result in results],
        }
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(summary, indent=1) + "\n")
        print(f"{path}: {centre:.3f} % over {len(errors)} seeds")


if __name__ == "__main__":
    main(sys.argv[1:])
