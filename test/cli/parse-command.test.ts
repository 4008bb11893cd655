import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMMANDS } from '../../src/cli/commands.ts'
import { parseCommand } from '../../src/cli/parse.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'

/** The values of `--run-now` without options. */
const RUN = {
  jobs: [],
  dryRun: false,
  quiet: false,
  'shorter-retention': false,
  'empty-table': false,
  clock: false,
  'shorter-archive-retention': false,
  'no-archive': false,
}

const RESTORE = { files: [], from: undefined, to: undefined, into: undefined, json: false }

const GOOD: readonly [line: string, command: string, values: object, configFile?: string][] = [
  ['', '', {}],
  ['--config c.yaml', '', {}, 'c.yaml'],
  ['--run-now', '--run-now', RUN],
  ['--run-now --dry-run', '--run-now', { ...RUN, dryRun: true }],
  ['--run-now --job purge-sessions --job purge-audit-logs', '--run-now', { ...RUN, jobs: ['purge-sessions', 'purge-audit-logs'] }],
  ['--run-now --accept-shorter-retention', '--run-now', { ...RUN, 'shorter-retention': true }],
  ['--run-now --accept-empty-table', '--run-now', { ...RUN, 'empty-table': true }],
  [
    '--run-now --job purge-sessions --job purge-audit-logs --accept-clock --accept-empty-table',
    '--run-now',
    { ...RUN, jobs: ['purge-sessions', 'purge-audit-logs'], clock: true, 'empty-table': true },
  ],
  ['migrate', 'migrate', { dryRun: false, to: undefined }],
  ['migrate --dry-run', 'migrate', { dryRun: true, to: undefined }],
  ['migrate --to 5', 'migrate', { dryRun: false, to: 5 }],
  ['migrate --to 005 --dry-run', 'migrate', { dryRun: true, to: 5 }],
  ['migrate new add_things', 'migrate new', { names: ['add_things'] }],
  ['--run-now --quiet', '--run-now', { ...RUN, quiet: true }],
  ['status', 'status', { json: false, check: false }],
  ['status --check', 'status', { json: false, check: true }],
  ['status --json --config c.yaml', 'status', { json: true, check: false }, 'c.yaml'],
  ['history', 'history', { jobs: [], sinceMs: 30 * DAY, json: false }],
  ['history --job purge-sessions --since 12h --json', 'history', { jobs: ['purge-sessions'], sinceMs: 12 * HOUR, json: true }],
  ['config --json', 'config', { json: true }],
  ['archive copy --to s3://bucket/path', 'archive copy', { to: 's3://bucket/path', switches: false, json: false }],
  ['archive copy --to s3://bucket/path --switch', 'archive copy', { to: 's3://bucket/path', switches: true, json: false }],
  ['archive verify', 'archive verify', { since: undefined, sample: false, json: false }],
  ['archive verify --sample', 'archive verify', { since: undefined, sample: true, json: false }],
  ['archive verify --since 2026-08-25 --json', 'archive verify', { since: { day: '2026-08-25' }, sample: false, json: true }],
  ['--config archive archive verify --since 1d', 'archive verify', { since: { agoMs: DAY }, sample: false, json: false }, 'archive'],
  ['archive list', 'archive list', { json: false }],
  ['archive restore', 'archive restore', RESTORE],
  ['archive restore a b --into t', 'archive restore', { ...RESTORE, files: ['a', 'b'], into: 't' }],
  ['archive restore -- -h', 'archive restore', { ...RESTORE, files: ['-h'] }],
  ['archive restore -- --into', 'archive restore', { ...RESTORE, files: ['--into'] }],
  ['archive restore --from 2026-08-01 --to 2026-08-02', 'archive restore', { ...RESTORE, from: '2026-08-01', to: '2026-08-02' }],
  ['archive reconcile', 'archive reconcile', { dryRun: false, json: false }],
  ['partition plan', 'partition plan', {}],
  ['partition start --config c.yaml', 'partition start', {}, 'c.yaml'],
  ['partition undo', 'partition undo', {}],
  ['archive reconcile --dry-run', 'archive reconcile', { dryRun: true, json: false }],
]

for (const [line, name, values, configFile] of GOOD) {
  test(`"${line}" is understood`, () => {
    const parsed = parseCommand(words(line))
    assert.ok(parsed.kind === 'command')
    assert.deepEqual([parsed.command.name, parsed.call.values, parsed.configFile], [name, values, configFile])
  })
}

for (const line of ['--version', '-v', '-V', 'version', 'status --version'])
  test(`"${line}" asks for the version`, () => assert.deepEqual(parseCommand(words(line)), { kind: 'version' }))

const ARCHIVE = ['archive verify', 'archive list', 'archive restore', 'archive reconcile', 'archive copy']
const ALL = COMMANDS.map(({ name }) => name)

for (const [line, names] of [
  ['--help', ALL],
  ['-h', ALL],
  ['help', ALL],
  ['frobnicate --help', ALL],
  ['help migrate', ['migrate', 'migrate new']],
  ['migrate --help', ['migrate', 'migrate new']],
  ['migrate new -h', ['migrate new']],
  ['help archive', ARCHIVE],
  ['archive --help', ARCHIVE],
  ['help archive list', ['archive list']],
  ['help --run-now', ['--run-now']],
  ['--run-now --help', ['--run-now']],
  ['help run-now', ['--run-now']],
] as const)
  test(`"${line}" asks for help`, () => {
    const parsed = parseCommand(words(line))
    assert.ok(parsed.kind === 'help')
    assert.deepEqual(
      parsed.commands.map(({ name }) => name),
      names,
    )
  })

const BAD: readonly [string, ...RegExp[]][] = [
  ['--frobnicate', /--frobnicate/],
  ['frobnicate', /unknown command "frobnicate"/],
  ['help frobnicate', /unknown command "frobnicate"/],
  ['help archive frob', /archive has no "frob"/],
  ['partition', /partition needs plan, start, undo/],
  ['partition stop', /partition has no "stop"/],
  ['partition plan audit_logs', /unexpected argument "audit_logs"/],
  ['partition start --dry-run', /--dry-run goes with --run-now or migrate/],
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
  ['--run-now --json', /--json goes with status or doctor or history or config/],
  ['migrate --quiet', /--quiet goes with --run-now/],
  ['status --since 3d', /--since goes with history/],
  ['history --since 30', /--since is "30", but needs a length of time/],
  ['history --since 30 --dry-run', /--dry-run goes with --run-now or migrate/],
  ['migrate now', /unexpected argument "now"/],
  ['migrate new', /migrate new takes one NAME/],
  ['migrate new a b', /migrate new takes one NAME/],
  ['migrate new a --to 3', /--to goes with migrate/],
  ['migrate --to latest', /--to is "latest", but needs the number of a migration/],
  ['migrate --to=-1', /--to is "-1"/],
  ['--run-now=yes', /--run-now/],
  ['--config', /--config/],
  ['--job', /--job/],
  [
    '-- --run-now',
    /unknown command "--run-now"; the commands are migrate, compact, status, doctor, history, config, archive, hold, partition, receipts, subject, or none/,
  ],
  ['archive', /archive needs verify, list, restore, reconcile/],
  ['archive purge', /archive has no "purge"; it has verify, list, restore, reconcile/],
  ['archive reconcile file', /unexpected argument "file"/],
  ['archive restore --dry-run', /--dry-run goes with --run-now or migrate or compact or archive reconcile/],
  ['archive verify file', /unexpected argument "file"/],
  ['archive list --since 1d --into t', /--since goes with history or archive verify/, /--into goes with archive restore/],
  ['archive restore f --from yesterday', /takes files, or --from and --to/, /--from is "yesterday"/],
  ['archive restore --into=', /--into needs the name of a table/],
  ['archive verify --since 1d --sample', /archive verify takes --since or --sample, not both/],
  ['archive copy', /archive copy needs --to PLACE/],
  ['archive copy --to gs://bucket', /--to: it begins like a URL/],
  ['archive verify --since 12', /--since is "12", but needs a day such as 2026-08-25 or a length of time/],
  ['archive verify --run-now', /--run-now does not go with archive verify/],
]

for (const [line, ...problems] of BAD) {
  test(`"${line}" is refused with exit code 2`, () => {
    assert.throws(
      () => parseCommand(words(line)),
      (error) =>
        error instanceof MaintenanceError &&
        error.exitCode === 2 &&
        [...problems, /nothing was done/].every((problem) => problem.test(error.message)),
    )
  })
}

test('every problem of a command line is named at once', () => {
  assert.throws(
    () => parseCommand(words('frob --job nope --json')),
    /unknown command[\s\S]*--job goes with[\s\S]*--json goes with[\s\S]*unknown job/,
  )
})

test('a misspelt job is reported as unknown, not as one that leaves out what is accepted', () => {
  assert.throws(
    () => parseCommand(words('--run-now --job purge-audit-log --accept-clock')),
    (error: Error) => error.message.startsWith('unknown job "purge-audit-log"') && !error.message.includes('leaves out'),
  )
})

function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '')
}
