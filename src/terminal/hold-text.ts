import { visible } from '../observe/control-characters.ts'
import { counted, countText } from '../number-text.ts'
import { matchText } from '../policy/match.ts'
import type { Spared } from '../policy/spared.ts'
import type { HeldCount } from '../runs/hold-counts.ts'
import type { HeldFile, KeptInRun, StoredHold } from '../runs/stored-holds.ts'
import { formatTime, MINUTE, type EpochMs } from '../time/clock.ts'
import { minuteText } from '../time/time-text.ts'
import { bold, red, type Part, type Style } from './style.ts'
import { listText, tableText, type Column, type Row } from './table.ts'

/** `2026-08-25 00:00 UTC`, more exactly where that was given. */
export function momentText(time: EpochMs): string {
  return time % MINUTE === 0 ? `${minuteText(time)} UTC` : formatTime(time)
}

/** `user alice, from 2026-01-01 00:00 UTC, before 2026-02-01 00:00 UTC` */
export function keptText({ match, from, until }: Spared): string {
  return [
    matchText(match),
    ...(from === undefined ? [] : [`from ${momentText(from)}`]),
    ...(until === undefined ? [] : [`before ${momentText(until)}`]),
  ].join(', ')
}

function keepsText(keeps: StoredHold['keeps'], style: Style): Part {
  return 'problems' in keeps ? red(`cannot be understood: ${keeps.problems.join(', and ')}`, style) : keptText(keeps)
}

interface Told {
  readonly name: string
  readonly table: string
  readonly reason: string
  readonly by: string
  /** `undefined`: there is no such table, or nothing to count. */
  readonly count: HeldCount | undefined
}

export interface PlacedHold extends Told {
  readonly spared: Spared
  readonly reviewAt: EpochMs | undefined
  readonly archived: { readonly files: number; readonly unknown: string | undefined }
  /** `undefined`: of a dry run. */
  readonly placed:
    | { readonly placedAt: EpochMs; readonly tooLate: readonly string[]; readonly tooLateUnknown: string | undefined }
    | undefined
}

export function placedText({ name, table, spared, reason, by, reviewAt, count, archived, placed }: PlacedHold, style: Style): string {
  const head =
    placed === undefined
      ? `Hold ${named(name)} was not placed: this is a dry run. It would keep these rows:`
      : `Hold ${named(name)} is placed: from now on no run deletes these rows.`
  const rows: readonly Row[] = [
    ['keeps', keptText(spared)],
    ['rows', rowsText(count, table, 'would go without it')],
    ...takenOutRows(count, table, placed !== undefined),
    ...archiveRows(archived),
    ...(placed?.tooLate ?? []).map((path): Row => [
      'too late',
      red(`${path}: a run had begun to remove it before the hold was placed`, style),
    ]),
    ...(placed?.tooLateUnknown === undefined
      ? []
      : [['too late', red(`not known, because the state of the archive cannot be read: ${placed.tooLateUnknown}`, style)] as const]),
    ['reason', reason],
    ['by', by],
    ...(placed === undefined ? [] : [['placed', `${minuteText(placed.placedAt)} UTC`] as const]),
    ...(reviewAt === undefined ? [] : [['review', momentText(reviewAt)] as const]),
  ]
  return `${head}\n${listText(rows, style)}\n`
}

function named(name: string): string {
  return visible(JSON.stringify(name))
}

function takenOutRows(count: HeldCount | undefined, table: string, isPlaced: boolean): readonly Row[] {
  const rows = count?.takenOut ?? 0
  if (rows === 0) return []
  const fate = isPlaced ? 'the next run puts them back' : 'the next run drops them, unless the hold is placed before'
  return [['taken out', `${countText(rows)} of these are in partitions that were taken out of ${table} to be dropped; ${fate}`]]
}

function archiveRows({ files, unknown }: PlacedHold['archived']): readonly Row[] {
  if (files === 0 && unknown === undefined) return []
  const known = files === 0 ? 'not known' : `${counted(files, 'file')} may have such rows; one that has stays as a whole`
  return [['archive', unknown === undefined ? known : `${known}; it could not be looked at as a whole: ${unknown}`]]
}

/** `1,234 match in audit_logs now; 200 have expired, and 180 of them would go without it` */
function rowsText(count: HeldCount | undefined, table: string, fate: string): string {
  if (count === undefined) return `there is no table ${table}`
  const { rows, expired, more, alone } = count
  if (more && rows === 0) return `none was found in ${table} in the time that counting may take, so there may be some`
  const least = more ? 'at least ' : ''
  const matching = `${least}${countText(rows)} ${rows === 1 ? 'matches' : 'match'} in ${table} now`
  if (expired === 0) return more ? matching : `${matching}, none of which has expired`
  const going = alone === undefined ? '' : `, and ${countText(alone)} ${fate}`
  return `${matching}; ${least}${countText(expired)} ${expired === 1 ? 'has' : 'have'} expired${going}`
}

export interface ReleasedHold extends Told {
  readonly keeps: StoredHold['keeps'] | undefined
  readonly releasedAt: EpochMs
}

export function releasedText({ name, table, reason, by, keeps, releasedAt, count }: ReleasedHold, style: Style): string {
  const rows: readonly Row[] = [
    ...(keeps === undefined ? [] : [['kept', keepsText(keeps, style)] as const]),
    ['rows', freedText(count, table)],
    ['reason', reason],
    ['by', by],
    ['released', `${minuteText(releasedAt)} UTC`],
  ]
  return `Hold ${named(name)} is released. A run that has begun keeps its rows to its end.\n${listText(rows, style)}\n`
}

function freedText(count: HeldCount | undefined, table: string): string {
  if (count === undefined) return 'not counted'
  const { alone, expired, more } = count
  if (alone === undefined)
    return `${more ? 'at least ' : ''}${countText(expired)} of ${table} have expired, and the next run deletes those that no other hold and no rule keeps`
  return alone === 0
    ? `none of ${table} goes in the next run because of it`
    : `the next run deletes ${countText(alone)} of ${table} that nothing else keeps`
}

const COLUMNS: readonly Column[] = [
  { title: 'name' },
  { title: 'keeps', cutFirst: true },
  { title: 'placed (UTC)', dispensable: 1 },
  { title: 'review (UTC)', dispensable: 2 },
  { title: 'released (UTC)' },
]

/** The reason stands below each: it may be long, and is what people look for. */
export function holdsText(holds: readonly StoredHold[], now: EpochMs, style: Style): string {
  const rows = holds.map(({ name, keeps, placedAt, reviewAt, released }): Part[] => [
    name,
    keepsText(keeps, style),
    minuteText(placedAt),
    reviewAt === undefined ? '' : reviewText(reviewAt, released === undefined ? now : undefined, style),
    released === undefined ? '' : minuteText(released.at),
  ])
  const notes = holds.map(({ reason, placedBy, released }) => [
    `${reason} (${placedBy})`,
    ...(released === undefined ? [] : [`released: ${released.reason} (${released.by})`]),
  ])
  return `${tableText(COLUMNS, rows, style, notes)}\n`
}

/** `now`: absent for one that was released, which nobody need review. */
function reviewText(at: EpochMs, now: EpochMs | undefined, style: Style): Part {
  return now !== undefined && at <= now ? red(`${minuteText(at)}, due`, style) : minuteText(at)
}

export interface ShownHold {
  readonly hold: StoredHold
  /** `undefined`: it was released, or there is nothing to count. */
  readonly count: HeldCount | undefined
  readonly runs: readonly KeptInRun[]
  /** One more than are shown, if there are more. */
  readonly files: readonly HeldFile[]
  readonly mostFiles: number
}

export function holdText({ hold, count, runs, files, mostFiles }: ShownHold, table: string, now: EpochMs, style: Style): string {
  const { name, keeps, reason, placedAt, placedBy, reviewAt, released } = hold
  const shown = files.slice(0, mostFiles)
  const rows: readonly Row[] = [
    ['keeps', keepsText(keeps, style)],
    ['reason', reason],
    ['placed', `${minuteText(placedAt)} UTC, by ${placedBy}`],
    ...(reviewAt === undefined ? [] : [['review', reviewText(reviewAt, released === undefined ? now : undefined, style)] as const]),
    ...(released === undefined
      ? []
      : [['released', `${minuteText(released.at)} UTC, by ${released.by}`] as const, ['because', released.reason] as const]),
    ...(count === undefined ? [] : [['rows', rowsText(count, table, 'would go without it')] as const]),
    ...runs.map(({ run, startedAt, rows: kept }): Row => [
      `run ${run}`,
      `${minuteText(startedAt)} UTC: kept ${counted(kept, 'expired row')}`,
    ]),
    ...shown.map(({ path, rows: kept }): Row => ['file', `${path}: ${counted(kept, 'row')}`]),
    ...(files.length > mostFiles ? [['file', `and more: --json names them`] as const] : []),
  ]
  const state = released === undefined ? 'in force' : 'released'
  return `${bold(`${name}: ${state}`, style).text}\n${listText(rows, style)}\n`
}
