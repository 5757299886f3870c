"""Reading: what `ueba ingest` is given -> numbered records, whatever the files are.

    find         paths, folders, patterns, addresses -> the files to read
    archives     an archive -> its members
    stream       one file as bytes, read forward, decompressed
    conversion   Windows event logs and Parquet -> lines of JSON
    framing      where one record ends and the next begins
    feed         one file -> its records as tables of (line, text)

Leaves out what a record means: that is `ueba.ingest.sources`.
"""
