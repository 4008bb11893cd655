import { JOBS } from '../catalogue.ts'
import { countText, isUnknown, partCountText, type PartCount } from '../number-text.ts'
import { SECOND } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import type { Style } from './style.ts'

/** How far a job has come. */
export interface Progress {
  readonly job: string
  readonly done: number
  /** `undefined`: it is not known how many there are. */
  readonly expected: PartCount | undefined
  readonly elapsedMs: number
  /** How it ended, in a word; `undefined`: it is running. */
  readonly outcome: string | undefined
}

const NAME_COLUMNS = Math.max(...JOBS.map(({ name }) => name.length))
const MOST_BAR = 30
const LEAST_BAR = 6
/** Reserved for the figures after the bar. */
const FIGURES_COLUMNS = 46

/** One line about a running job, no longer than the terminal is wide: name, bar, share, rows done, rows a second, time left. */
export function progressLine(progress: Progress, { columns, unicode }: Style): string {
  const name = progress.job.padEnd(NAME_COLUMNS)
  const characters = Math.min(MOST_BAR, columns - 1 - NAME_COLUMNS - 4 - FIGURES_COLUMNS)
  const bar = totalOf(progress) === undefined || characters < LEAST_BAR ? '' : `  ${meter(shareOf(progress), characters, unicode)}`
  const room = columns - 1 - name.length - bar.length - 2
  const figures = variants(progress).find((text) => text.length <= room) ?? ''
  return `${name}${bar}  ${figures}`.slice(0, columns - 1)
}

/** The share of the work that is done; all of it if there was nothing to do, or the job has ended. */
function shareOf({ done, outcome, ...progress }: Progress): number {
  const total = totalOf({ done, ...progress })
  return outcome !== undefined || total === undefined || total === 0 ? 1 : done / total
}

/** `undefined`: not all rows were counted, so no share of them is known. */
function totalOf({ done, expected }: Pick<Progress, 'done' | 'expected'>): number | undefined {
  return expected?.rows === undefined || expected.more ? undefined : Math.max(done, expected.rows)
}

function meter(share: number, characters: number, unicode: boolean): string {
  const [full, empty] = unicode ? ['\u2588', '\u2591'] : ['#', '-']
  const filled = Math.round(share * characters)
  return full.repeat(filled) + empty.repeat(characters - filled)
}

/** The figures in several lengths, the longest first. */
function variants(progress: Progress): string[] {
  const { done, expected, elapsedMs, outcome } = progress
  const rate = elapsedMs < SECOND / 10 ? 0 : done / (elapsedMs / SECOND)
  const speed = rate === 0 ? [] : [rateText(rate)]
  if (outcome !== undefined) return longestFirst([`${countText(done)} ${outcome}`, durationText(elapsedMs), ...speed])
  const total = totalOf(progress)
  if (total === undefined) {
    const of = expected === undefined || isUnknown(expected) || done > (expected.rows ?? 0) ? 'rows' : `of ${partCountText(expected)} rows`
    return longestFirst([`${countText(done)} ${of}`, ...speed])
  }
  const share = `${Math.floor(100 * shareOf(progress))}%`.padStart(4)
  const counts = `${countText(done)} of ${countText(total)}`
  const left = rate === 0 || done === 0 ? [] : [`${durationText(Math.ceil((total - done) / rate) * SECOND)} left`]
  return [[share, counts, ...speed, ...left], [share, counts, ...left], [share, counts], [share]].map((parts) => parts.join('  '))
}

function longestFirst(parts: readonly string[]): string[] {
  return parts.map((_, less) => parts.slice(0, parts.length - less).join('  '))
}

/** `850/s`, `98.5k/s` */
function rateText(rate: number): string {
  return rate < 1_000 ? `${Math.round(rate)}/s` : `${(rate / 1_000).toFixed(rate < 100_000 ? 1 : 0)}k/s`
}
