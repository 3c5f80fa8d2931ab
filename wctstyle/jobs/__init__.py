"""Many pictures: jobs, and the workers that do them, in this process, in several, or on the machines of a Ray cluster.

`work.Painter` does one job. `scheduling.run` gives jobs to the workers of a pool; `processes.Processes` and
`cluster.Cluster` are pools. Workers share nothing but the cache of compiled programs on disk.
"""
