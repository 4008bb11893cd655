// The program's own cost is compared with this: its packages are imported, and nothing is done with them.
/* oxlint-disable import/no-unassigned-import */
import 'better-sqlite3'
import 'convict'
import 'node-cron'
import 'pg'
import 'pino'

if (process.argv[2] === 'stay') setInterval(() => {}, 60_000)
