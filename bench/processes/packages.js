// What the program's own cost is compared with: its packages, and nothing done with them.
/* oxlint-disable import/no-unassigned-import */
import 'better-sqlite3'
import 'convict'
import 'node-cron'
import 'pg'
import 'pino'

if (process.argv[2] === 'stay') setInterval(() => {}, 60_000)
