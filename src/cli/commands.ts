import { retentionOf, JOBS } from '../catalogue.ts'
import type { OpenedArchive } from '../commands/archive/open-archive.ts'
import type { Access } from '../database/database.ts'
import type { ExitCode } from '../errors.ts'
import type { View } from '../observe/view.ts'
import type { Program, Start } from '../program.ts'
import { ACCEPTABLE, type Acceptance } from '../purge/safety.ts'
import { command, type Command } from './command.ts'
import { HOLD_COMMANDS } from './hold-commands.ts'
import { ANSWER, inProgram, JSON_ANSWER } from './in-program.ts'
import { archivePlace, dailyWindow, day, flag, jobNames, operands, sinceAgo, sinceDay, text, version, type Option } from './options.ts'
import { PARTITION_COMMANDS } from './partition-commands.ts'
import { RECEIPT_COMMANDS } from './receipt-commands.ts'
import { SUBJECT_COMMANDS } from './subject-commands.ts'

export const WORKER = command({
  name: '',
  summary: 'the worker: migrate, then run jobs on their schedules until told to stop',
  options: {},
  run: (start) =>
    inProgram(start, { access: 'write', patience: 'worker', log: 'output', metrics: 'served' }, async (program) =>
      (await import('../commands/worker.ts')).runWorker(program),
    ),
})

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.keys` forgets the names
const ACCEPTANCES = Object.keys(ACCEPTABLE) as Acceptance[]

/** The jobs that have safety stops. */
const STOPPABLE = JOBS.flatMap((job) => (retentionOf(job) === undefined ? [] : [job.name]))

/** In the order in which the help shows them. */
export const COMMANDS: readonly Command[] = [
  WORKER,
  command({
    name: '--run-now',
    summary: 'migrate, run every enabled job once, exit',
    options: {
      jobs: jobNames('only this job (may be repeated)'),
      dryRun: flag('dry-run', 'count what would be deleted; change nothing, not even migrations'),
      quiet: flag('quiet', 'only the log: no progress, no table, no colour'),
      ...acceptOptions(),
    },
    contradictions({ jobs, dryRun, ...given }) {
      const accepted = ACCEPTANCES.filter((each) => given[each])
      const leftOut = jobs.length > 0 && jobs.every((name) => JOBS.some((job) => job.name === name && retentionOf(job) === undefined))
      return [
        ...(dryRun ? accepted.map((each) => `--accept-${each} goes with --run-now, not with --dry-run`) : []),
        ...(leftOut ? accepted.map((each) => `--accept-${each} goes with ${STOPPABLE.join(' and ')}, which --job leaves out`) : []),
      ]
    },
    async run(start, { jobs, dryRun, quiet, ...given }) {
      const accepted = new Set(ACCEPTANCES.filter((each) => given[each]))
      using view = quiet ? undefined : await viewOf(start, dryRun)
      const log = view ?? (quiet ? 'plain output' : 'output')
      const changes = dryRun ? ({ access: 'read', metrics: 'none' } as const) : ({ access: 'write', metrics: 'written' } as const)
      return await inProgram(start, { ...changes, patience: 'run', log }, async (program) =>
        (await import('../commands/run-now.ts')).runNow(program, view, { jobs, dryRun, accepted }),
      )
    },
  }),
  command({
    name: 'migrate',
    summary: 'apply pending migrations, exit',
    options: { dryRun: flag('dry-run'), to: version('to', 'stop at this one') },
    run: (start, request) =>
      inProgram(start, { access: request.dryRun ? 'read' : 'write', patience: 'run', log: 'output', metrics: 'none' }, async (program) =>
        (await import('../commands/migrate.ts')).runMigrate(program, request),
      ),
  }),
  command({
    name: 'migrate new',
    summary: 'write the two files of a migration with the next number, in a checkout',
    options: { names: operands('NAME') },
    contradictions: ({ names }) => (names.length === 1 ? [] : ['migrate new takes one NAME, such as add_things']),
    run: async (start, { names }) => (await import('../commands/migrate-new.ts')).writeMigration(start, names[0]!),
  }),
  command({
    name: 'compact',
    summary: "give the free space of the database's file back; the gateway cannot write meanwhile",
    options: {
      dryRun: flag('dry-run', 'say how long it would take and how much disk space; change nothing'),
      offline: flag('offline', 'the gateway and the worker are stopped'),
      within: dailyWindow('within', 'only at this time of day, in the zone of the schedules'),
      replicated: flag('replicated', 'even if Litestream must then copy all of it again'),
    },
    contradictions: ({ dryRun, offline, within }) => [
      ...(offline && within !== undefined ? ['compact takes --offline or --within, not both'] : []),
      ...(dryRun || offline || within !== undefined
        ? []
        : ['compact keeps the gateway from writing: say when, with --offline or --within 02:00-04:00; --dry-run says for how long']),
    ],
    run: (start, request) =>
      inProgram(start, { ...ANSWER, access: request.dryRun ? 'read' : 'existing' }, async (program) =>
        (await import('../commands/compact.ts')).compact(program, request),
      ),
  }),
  command({
    name: 'status',
    summary: 'whether all is well; database, migrations, jobs, last and next runs, what waits',
    options: { ...JSON_ANSWER, check: flag('check', 'exit code 1 if something does not work') },
    async run(start, request) {
      const { withFoundation } = await import('../program.ts')
      return withFoundation(start, ANSWER, async (foundation) => (await import('../commands/status.ts')).showStatus(foundation, request))
    },
  }),
  command({
    name: 'doctor',
    summary: 'whether everything is as it should be: schema, rights, settings, clocks, archive, disk',
    options: { ...JSON_ANSWER, thorough: flag('thorough', 'read every page of a database file, too; takes seconds for each gigabyte') },
    async run(start, request) {
      const { withFoundation } = await import('../program.ts')
      return withFoundation(start, ANSWER, async (foundation) => (await import('../commands/doctor.ts')).examine(foundation, request))
    },
  }),
  command({
    name: 'history',
    summary: 'past runs: when, what was deleted, how it ended',
    options: { ...JSON_ANSWER, jobs: jobNames('of this job (may be repeated)'), sinceMs: sinceAgo('of the last 30 days, the default') },
    run: (start, request) =>
      inProgram(start, { ...ANSWER, access: 'read' }, async (program) =>
        (await import('../commands/history.ts')).showHistory(program, request),
      ),
  }),
  command({
    name: 'config',
    summary: 'the resolved configuration, secrets masked',
    options: JSON_ANSWER,
    run: async (start, { json }) => (await import('../commands/config.ts')).showConfig(start, json),
  }),
  command({
    name: 'archive verify',
    summary: 'every file of the archive, those written since, or a sample, and the chain they form',
    options: {
      since: sinceDay(),
      sample: flag('sample', 'the sizes of all; contents of the last 8 days and 1 % of the rest'),
      ...JSON_ANSWER,
    },
    contradictions: ({ since, sample }) => (since !== undefined && sample ? ['archive verify takes --since or --sample, not both'] : []),
    run: (start, request) =>
      inArchive(start, 'existing', async (program, archive) =>
        (await import('../commands/archive/archive-verify.ts')).verifyArchive(program, archive, request),
      ),
  }),
  command({
    name: 'archive list',
    summary: 'the files of the archive',
    options: JSON_ANSWER,
    run: (start, request) =>
      inArchive(start, 'read', async (program, archive) =>
        (await import('../commands/archive/archive-list.ts')).listArchive(program, archive, request),
      ),
  }),
  command({
    name: 'archive restore',
    summary: 'files or days, into audit_logs_restored',
    options: { from: day('from'), to: day('to'), files: operands('FILE …'), into: text('into', 'TABLE', 'table'), ...JSON_ANSWER },
    contradictions: ({ files, from, to }) =>
      files.length > 0 && (from !== undefined || to !== undefined) ? ['archive restore takes files, or --from and --to'] : [],
    run: (start, request) =>
      inArchive(start, 'existing', async (program, archive) =>
        (await import('../commands/archive/archive-restore.ts')).restoreArchive(program, archive, request),
      ),
  }),
  command({
    name: 'archive reconcile',
    summary: 'for a database that is older than its archive: restored, or a promoted replica',
    options: { dryRun: flag('dry-run'), ...JSON_ANSWER },
    run: (start, request) =>
      inArchive(start, request.dryRun ? 'read' : 'existing', async (program, archive) =>
        (await import('../commands/archive/archive-reconcile.ts')).reconcileArchive(program, archive, request),
      ),
  }),
  command({
    name: 'archive copy',
    summary: 'what is missing at another place, read back; the archive stays as it is',
    options: {
      to: archivePlace('to', 'a folder, or s3://bucket/path'),
      switches: flag('switch', 'and let runs write there from then on'),
      ...JSON_ANSWER,
    },
    contradictions: ({ to }) => (to === undefined ? ['archive copy needs --to PLACE, a folder or s3://bucket/path'] : []),
    archivePlace: ({ to }) => to,
    run: (start, { to, switches, json }) =>
      inArchive(start, switches ? 'existing' : 'read', async (program, archive) =>
        (await import('../commands/archive/archive-copy.ts')).copyArchiveTo(program, archive, { to: to!, switches, json }),
      ),
  }),
  ...HOLD_COMMANDS,
  ...PARTITION_COMMANDS,
  ...RECEIPT_COMMANDS,
  ...SUBJECT_COMMANDS,
]

export const CONFIG_FILE = text('config', 'FILE', 'file', 'YAML or JSON, over the defaults and under the environment')
export const HELP = flag('help')
export const VERSION = flag('version')

function acceptOptions(): Readonly<Record<Acceptance, Option<boolean>>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.fromEntries` forgets the names
  return Object.fromEntries(ACCEPTANCES.map((each) => [each, flag(`accept-${each}`, ACCEPTABLE[each])])) as Record<
    Acceptance,
    Option<boolean>
  >
}

/** The commands for the archive work even if archiving is disabled. */
function inArchive(start: Start, access: Access, work: (program: Program, archive: OpenedArchive) => Promise<ExitCode>): Promise<ExitCode> {
  return inProgram(start, { ...ANSWER, access }, async (program) => {
    const { openArchive } = await import('../commands/archive/open-archive.ts')
    return work(program, await openArchive(program))
  })
}

/** The view of a run that a person watches; `undefined`: nobody does, or the log is JSON and has the terminal to itself. */
async function viewOf({ host, settings }: Start, dryRun: boolean): Promise<View | undefined> {
  if (!host.terminal.output || settings.log.format === 'json') return undefined
  return (await import('../terminal/run-view.ts')).openRunView(host, dryRun)
}
