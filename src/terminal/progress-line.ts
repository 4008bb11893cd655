import { JOBS } from '../catalogue.ts'
import { countText, partCountText, type PartCount } from '../number-text.ts'
import { SECOND } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import type { Style } from './style.ts'

/** Where a job stands. */
export interface Standing {
  readonly job: string
  readonly done: number
  /** `undefined`: how many there are is not known. */
  readonly expected: PartCount | undefined
  readonly elapsedMs: number
  /** How it ended, in a word; `undefined`: it runs. */
  readonly outcome: string | undefined
}

const NAME_COLUMNS = Math.max(...JOBS.map(({ name }) => name.length))
const MOST_BAR = 30
const LEAST_BAR = 6
/** Left for the figures behind the bar. */
const FIGURES_COLUMNS = 46

/** One line about a running job, no longer than the terminal is wide: name, bar, share, rows done, rows a second, time left. */
export function progressLine(standing: Standing, { columns, unicode }: Style): string {
  const name = standing.job.padEnd(NAME_COLUMNS)
  const characters = Math.min(MOST_BAR, columns - 1 - NAME_COLUMNS - 4 - FIGURES_COLUMNS)
  const bar = totalOf(standing) === undefined || characters < LEAST_BAR ? '' : `  ${meter(shareOf(standing), characters, unicode)}`
  const room = columns - 1 - name.length - bar.length - 2
  const figures = variants(standing).find((text) => text.length <= room) ?? ''
  return `${name}${bar}  ${figures}`.slice(0, columns - 1)
}

/** Of what there was to do; nothing to do is done, and so is what has ended. */
function shareOf({ done, outcome, ...standing }: Standing): number {
  const total = totalOf({ done, ...standing })
  return outcome !== undefined || total === undefined || total === 0 ? 1 : done / total
}

/** `undefined`: the rows were not counted to their end, so no share of them is known. */
function totalOf({ done, expected }: Pick<Standing, 'done' | 'expected'>): number | undefined {
  return expected?.rows === undefined || expected.more ? undefined : Math.max(done, expected.rows)
}

function meter(share: number, characters: number, unicode: boolean): string {
  const [full, empty] = unicode ? ['\u2588', '\u2591'] : ['#', '-']
  const filled = Math.round(share * characters)
  return full.repeat(filled) + empty.repeat(characters - filled)
}

/** The longest first. */
function variants(standing: Standing): string[] {
  const { done, expected, elapsedMs, outcome } = standing
  const rate = elapsedMs < SECOND / 10 ? 0 : done / (elapsedMs / SECOND)
  const speed = rate === 0 ? [] : [rateText(rate)]
  if (outcome !== undefined) return longestFirst([`${countText(done)} ${outcome}`, durationText(elapsedMs), ...speed])
  const total = totalOf(standing)
  if (total === undefined) {
    const of = expected?.rows === undefined || done > expected.rows ? 'rows' : `of ${partCountText(expected)} rows`
    return longestFirst([`${countText(done)} ${of}`, ...speed])
  }
  const share = `${Math.floor(100 * shareOf(standing))}%`.padStart(4)
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
