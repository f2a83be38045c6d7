"""Everything of this repository that only a GPU can prove, in ten minutes of one. See docs/kani.md."""
