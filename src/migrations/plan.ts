import { someText } from '../number-text.ts'
import { formatTime } from '../time/clock.ts'
import { EARLIER_TEXTS } from './earlier-texts.ts'
import { padded } from './file-names.ts'
import type { LedgerRow } from './ledger.ts'
import type { MigrationFile } from './migration-files.ts'

export type Plan =
  | { readonly kind: 'ready'; readonly pending: readonly MigrationFile[] }
  /** One line per reason; each says what to do. */
  | { readonly kind: 'refused'; readonly problems: readonly string[] }

/**
 * What is left to apply, up to `to`, given one engine's files by number and the ledger. Compares all of both, not only the newest.
 */
export function planMigrations(files: readonly MigrationFile[], ledger: readonly LedgerRow[], to = Infinity): Plan {
  const latest = files.at(-1)?.version ?? 0
  const newer = ledger.filter(({ version }) => version > latest)
  const problems = [
    ...ledger.flatMap((row) => historyProblem(row, files, latest)),
    ...(newer.length > 0 ? [newerProblem(newer, latest)] : outOfOrder(files, ledger)),
  ]
  if (to !== Infinity) problems.push(...stopProblem(to, files, ledger))
  if (problems.length > 0) return { kind: 'refused', problems }
  const applied = new Set(ledger.map(({ version }) => version))
  return { kind: 'ready', pending: files.filter(({ version }) => version <= to && !applied.has(version)) }
}

function stopProblem(to: number, files: readonly MigrationFile[], ledger: readonly LedgerRow[]): string[] {
  if (!files.some(({ version }) => version === to))
    return [
      `there is no migration ${padded(to)} to stop at: this build has ${padded(files[0]?.version ?? 0)} to ${padded(files.at(-1)?.version ?? 0)}`,
    ]
  const beyond = ledger.filter(({ version }) => version > to)
  if (beyond.length === 0) return []
  return [
    `the database is beyond ${padded(to)}: ${someText(beyond.map(titleOf))} ${beyond.length === 1 ? 'was' : 'were'} applied, and no migration is taken back`,
  ]
}

function historyProblem(row: LedgerRow, files: readonly MigrationFile[], latest: number): string[] {
  if (row.version > latest) return []
  const file = files.find(({ version }) => version === row.version)
  if (file === undefined || file.name !== row.name) {
    const instead = file === undefined ? '' : `, and ${file.path} has its number`
    return [
      `Migration ${titleOf(row)} was applied ${when(row)}, but its file is missing${instead}. Restore the file under its original name.`,
    ]
  }
  if (file.checksum === row.checksum || EARLIER_TEXTS[file.version]?.includes(row.checksum) === true) return []
  return [`${file.path} was changed after it was applied ${when(row)}. Restore the file, and put the change into a new migration.`]
}

function newerProblem(newer: readonly LedgerRow[], latest: number): string {
  const listed = someText(newer.map((row) => `${titleOf(row)} (applied ${when(row)})`))
  const last = newer.reduce((a, b) => (b.version > a.version ? b : a))
  return (
    `The database is newer than this build, which knows migrations up to ${padded(latest)}. The database also has ${listed}. ` +
    `Use version ${last.appVersion} or later.`
  )
}

function outOfOrder(files: readonly MigrationFile[], ledger: readonly LedgerRow[]): string[] {
  const highest = ledger.reduce<LedgerRow | undefined>((a, b) => (a === undefined || b.version > a.version ? b : a), undefined)
  if (highest === undefined) return []
  const applied = new Set(ledger.map(({ version }) => version))
  const next = padded(Math.max(highest.version, files.at(-1)?.version ?? 0) + 1)
  return files
    .filter(({ version }) => version < highest.version && !applied.has(version))
    .map(
      ({ path }) =>
        `${path} was never applied here, but the later ${titleOf(highest)} was, ${when(highest)}. If that file is new, renumber it to ${next}.`,
    )
}

function when(row: LedgerRow): string {
  return `on ${formatTime(row.appliedAt)} by version ${row.appVersion}`
}

function titleOf({ version, name }: LedgerRow): string {
  return `${padded(version)}_${name}`
}
