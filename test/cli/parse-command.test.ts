import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommand } from '../../src/cli/cli.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'

const configFile = undefined
const accepted = new Set()

const GOOD: readonly [string, object][] = [
  ['', { kind: 'worker', configFile }],
  ['--config c.yaml', { kind: 'worker', configFile: 'c.yaml' }],
  ['--run-now', { kind: 'run-now', jobs: [], dryRun: false, quiet: false, accepted, configFile }],
  ['--run-now --dry-run', { kind: 'run-now', jobs: [], dryRun: true, quiet: false, accepted, configFile }],
  [
    '--run-now --job purge-sessions --job purge-audit-logs',
    { kind: 'run-now', jobs: ['purge-sessions', 'purge-audit-logs'], dryRun: false, quiet: false, accepted, configFile },
  ],
  [
    '--run-now --accept-shorter-retention',
    { kind: 'run-now', jobs: [], dryRun: false, quiet: false, accepted: new Set(['shorter-retention']), configFile },
  ],
  [
    '--run-now --accept-empty-table',
    { kind: 'run-now', jobs: [], dryRun: false, quiet: false, accepted: new Set(['empty-table']), configFile },
  ],
  [
    '--run-now --job purge-sessions --job purge-audit-logs --accept-clock --accept-empty-table',
    {
      kind: 'run-now',
      jobs: ['purge-sessions', 'purge-audit-logs'],
      dryRun: false,
      quiet: false,
      accepted: new Set(['clock', 'empty-table']),
      configFile,
    },
  ],
  ['migrate', { kind: 'migrate', dryRun: false, configFile }],
  ['migrate --dry-run', { kind: 'migrate', dryRun: true, configFile }],
  ['--run-now --quiet', { kind: 'run-now', jobs: [], dryRun: false, quiet: true, accepted, configFile }],
  ['status', { kind: 'status', json: false, check: false, configFile }],
  ['status --check', { kind: 'status', json: false, check: true, configFile }],
  ['status --json --config c.yaml', { kind: 'status', json: true, check: false, configFile: 'c.yaml' }],
  ['history', { kind: 'history', jobs: [], sinceMs: 30 * DAY, json: false, configFile }],
  [
    'history --job purge-sessions --since 12h --json',
    { kind: 'history', jobs: ['purge-sessions'], sinceMs: 12 * HOUR, json: true, configFile },
  ],
  ['config --json', { kind: 'config', json: true, configFile }],
  ['--help', { kind: 'help' }],
  ['migrate --help', { kind: 'help' }],
  ['--version', { kind: 'version' }],
]

for (const [line, command] of GOOD) {
  test(`"${line}" is understood`, () => assert.deepEqual(parseCommand(words(line)), command))
}

const BAD: readonly [string, RegExp][] = [
  ['--frobnicate', /--frobnicate/],
  ['frobnicate', /unknown command "frobnicate"/],
  ['--run-now --job purge-everything', /unknown job "purge-everything"; the jobs are purge-audit-logs/],
  ['--job purge-sessions', /--job goes with --run-now/],
  ['--dry-run', /--dry-run goes with --run-now or migrate/],
  ['--run-now migrate', /--run-now does not go with migrate/],
  ['--accept-shorter-retention', /--accept-shorter-retention goes with --run-now/],
  ['--run-now --dry-run --accept-empty-table', /--accept-empty-table goes with --run-now, not with --dry-run/],
  ['--accept-clock', /--accept-clock goes with --run-now/],
  ['status --accept-clock', /--accept-clock goes with --run-now/],
  ['--run-now --dry-run --accept-clock', /--accept-clock goes with --run-now, not with --dry-run/],
  ['--run-now --job purge-sessions --accept-clock', /--accept-clock goes with purge-audit-logs, which --job leaves out/],
  ['--run-now --json', /--json goes with status or history or config/],
  ['migrate --quiet', /--quiet goes with --run-now/],
  ['--run-now --check', /--check goes with status/],
  ['status --since 3d', /--since goes with history/],
  ['history --since 30', /--since is "30", and needs a length of time/],
  ['history --since 30 --dry-run', /--dry-run goes with --run-now or migrate/],
  ['migrate now', /unexpected argument "now"/],
  ['--run-now=yes', /--run-now/],
  ['--config', /--config/],
  ['--job', /--job/],
]

for (const [line, problem] of BAD) {
  test(`"${line}" is refused with exit code 2`, () => {
    assert.throws(
      () => parseCommand(words(line)),
      (error) =>
        error instanceof MaintenanceError && error.exitCode === 2 && problem.test(error.message) && /nothing was done/.test(error.message),
    )
  })
}

test('every problem of a line is named at once', () => {
  assert.throws(
    () => parseCommand(words('frob --job nope --json')),
    /unknown command[\s\S]*--job goes with[\s\S]*--json goes with[\s\S]*unknown job/,
  )
})

function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '')
}
