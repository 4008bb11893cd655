import { JOBS } from '../catalogue.ts'
import { describeSettings } from '../config/schema.ts'
import { ACCEPTABLE } from '../purge/safety.ts'

/** `--help`. */
export function helpText(): string {
  const width = Math.max(...JOBS.map((job) => job.name.length))
  const jobs = JOBS.map((job) => `  ${job.name.padEnd(width)}  ${job.summary}`).join('\n')
  const acceptances = Object.entries(ACCEPTABLE)
    .map(([name, help]) => `      ${`--accept-${name}`.padEnd(35)}${help}`)
    .join('\n')
  const url = describeSettings().find((setting) => setting.key === 'database.url')?.default
  return `Keeps the Secure MCP Gateway's database correct and small: applies migrations, purges what has expired.

Usage
  mcp-gateway-maintenance                the worker: migrate, then run jobs on their schedules until told to stop
  mcp-gateway-maintenance --run-now      migrate, run every enabled job once, exit
      --job NAME                         only this job (may be repeated)
      --dry-run                          count what would go; change nothing, not even migrations
      --quiet                            the log alone: neither progress nor table, no colour
${acceptances}
  mcp-gateway-maintenance migrate        apply pending migrations, exit            [--dry-run]
  mcp-gateway-maintenance status         whether all is well; database, migrations, jobs, last and next runs, what waits   [--json]
      --check                            exit code 1 where something does not work
  mcp-gateway-maintenance history        past runs: when, what was deleted, how it ended   [--json]
      --job NAME  --since 30d            of this job (may be repeated); of the last 30 days, the default
  mcp-gateway-maintenance archive verify [--since DAY|30d] [--json]     every file of the archive, and the chain they make
  mcp-gateway-maintenance archive list [--json]                         what is in it
  mcp-gateway-maintenance archive restore [--from DAY --to DAY | FILE …] [--into TABLE]   into audit_logs_restored
  mcp-gateway-maintenance archive reconcile [--dry-run] [--json]        after a database was restored or a replica promoted: it is older than its archive
  mcp-gateway-maintenance config         the resolved configuration, secrets masked   [--json]

Every form takes
  --config FILE                          YAML or JSON, over the defaults and under the environment
  --help   --version

Jobs
${jobs}

The database is DATABASE_URL, the gateway's own; without it ${url}.
Exit codes: 0 done, 1 a job failed, 2 usage or configuration, 3 database, 4 migrations, 5 safety stop.
`
}
