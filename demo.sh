# What `make demo` runs: the main job from end to end. $1 is the folder of the environment's programs.
set -eu
BIN=$1
RUN=runs/demo
rm -rf "$RUN"
mkdir -p runs
"$BIN/convatlas" train lenet5_modern-mnist --out "$RUN"
"$BIN/python" - "$RUN" <<'PYTHON'
import sys
from pathlib import Path
from PIL import Image
from convatlas.data.mnist import load

digits = load("test")
Image.fromarray(digits.x[0, 0].numpy()).resize((112, 112)).save(Path(sys.argv[1]) / "digit.png")
PYTHON
echo
echo "A digit that it has never seen, $RUN/digit.png:"
"$BIN/convatlas" predict "$RUN" "$RUN/digit.png"
echo
echo "Open $RUN/report.html: what it learned, and its twenty worst mistakes."
