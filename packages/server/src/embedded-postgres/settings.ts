/**
 * PostgreSQL for one small machine that it shares with the server: given on the command line, so that they are what
 * this code says whatever stands in the folder's configuration files.
 */
export function embeddedSettings(socketFolder: string): Record<string, string> {
  return {
    // Reached by nobody but this account, through a socket in a private folder.
    listen_addresses: '',
    unix_socket_directories: `"${socketFolder.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    max_connections: '80',
    superuser_reserved_connections: '3',

    // A commit that was answered survives a power cut.
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    commit_delay: '0', // intake groups its commits itself
    // Bounds what a restart has to replay: with 512 MB a crashed server is back within seconds.
    max_wal_size: '512MB',
    min_wal_size: '128MB',
    checkpoint_timeout: '5min',
    max_wal_senders: '3', // room for a base backup

    // Under 300 MB at rest together with the server.
    shared_buffers: '64MB',
    effective_cache_size: '512MB',
    maintenance_work_mem: '64MB',
    io_method: 'sync', // no I/O worker processes
    max_logical_replication_workers: '0',
    max_worker_processes: '2',
    max_parallel_workers_per_gather: '0', // on two cores a parallel query only steals from its neighbours
    jit: 'off',

    // A query over all of a year's partitions locks each of them and their indexes.
    max_locks_per_transaction: '256',
    // The intake log turns over completely all the time: look at it often.
    autovacuum: 'on',
    autovacuum_naptime: '10s',
    autovacuum_max_workers: '2',

    // One process that dies takes the server down whole, and our supervisor is the only one that brings it back.
    restart_after_crash: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    // Startup, shutdown and failures of the server itself. Statement errors go to their caller, who logs them without
    // the values they were made with.
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_checkpoints: 'off',
  };
}
