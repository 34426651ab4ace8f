"""What a run costs, as ratios to a yardstick that is measured in the same run: `python -m benchmarks`.

    articles      what the site of the benchmarks publishes
    servers       that site and a network with the Mastodon API, as one process; world starts it and asks it
    yardstick     the same work with the standard library alone
    contestants   how each program is set up and called; peers/ has those of other people
    stopwatch     runs one command and tells its CPU, its time and its peak memory
    scenarios     what is measured, and how; stores makes the stores that remember much, probe times their polls
    process       a daemon measured while it stays
    month         thirty days of a daemon in a minute or two; life is such a daemon, and clocks the time that jumps
    parts         where the time of a start goes
    report        the table

Nothing here is imported by the program.
"""
