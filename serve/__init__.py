"""The serve room: an artifact in, a BentoML service out, built only if it answers as the artifact does."""

import os

# BentoML reads it once and remembers, so it is set before anything of ours imports BentoML.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
