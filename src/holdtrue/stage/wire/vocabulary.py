"""Words of SQL that tell a call from a keyword, a ping from a query, a sign from an operator."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Stand before a parenthesis without being the name of a function.
NOT_CALLED = _words("""
    all and any array as between by case cast check coalesce conflict cube default distinct do else except exists filter
    from greatest having ilike in intersect into is join key lateral least like limit materialized not nullif of offset
    on only or over overlaps partition primary recursive references returning rollup row select set sets similar some
    table then to union unique using values when where with within
""")
# Functions that tell about the session or the server, or set it, and touch no table.
INFORMATION = _words("""
    current_database current_schema current_schemas current_setting current_user inet_client_addr inet_server_addr
    inet_server_port pg_advisory_unlock_all pg_backend_pid pg_is_in_recovery pg_listening_channels
    pg_postmaster_start_time session_user set_config to_regclass to_regtype txid_current_if_assigned user version
""")
# A sign after these belongs to the number that follows.
UNARY_AFTER = _words("""
    ( [ , = < > <= >= <> != + - * / % || and between by else from in limit not offset or return select then values when
""")
