"""asv's benchmarks: thin over the harness, run by asv against the installed code of each commit.

They use only what commits have had for long (the command line, `bench.task`), so that history can
be measured anew, and import each other relatively, since asv loads this folder as a package of its
own. What is measured depends on the profile, see `profile`. Importing a module of this folder is
cheap: torch and the suites are imported by what is measured.
"""
