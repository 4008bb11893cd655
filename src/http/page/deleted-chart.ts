import { countText } from '../../number-text.ts'
import type { DeletedByDay } from '../../status/deleted-by-day.ts'
import type { Status } from '../../status/read-status.ts'
import { formatDay } from '../../time/clock.ts'
import { html, type Html } from './html.ts'

/** All in pixels. */
const TITLE = 22
const BARS = 44
const GAP = 16
const STRIP = TITLE + BARS + GAP
const AXIS = 18
/** A day on which little was deleted must not look like one on which nothing was. */
const LEAST_BAR = 1.5
/** A bar that is cut off has a gap below its top. */
const CUT = { top: 4, gap: 3 }

interface Strip {
  readonly job: string
  readonly rows: readonly number[]
}

/**
 * A strip for each job, each on its own scale: beside nights of a million audit logs, the sessions could not be seen. Bars stretch with the page, texts do
 * not. To a screen reader the chart is one picture; its numbers are in the table below it, which can be opened with the keyboard.
 */
export function deletedSection({ deletedByDay, jobs }: Status): Html | undefined {
  if (deletedByDay === undefined || deletedByDay.days.length === 0) return undefined
  const days = deletedByDay.days.map(formatDay)
  const strips = stripsOf(
    jobs.map(({ job }) => job.name),
    deletedByDay,
  )
  // One bar compares nothing.
  if (days.filter((_, day) => strips.some(({ rows }) => rows[day]! > 0)).length < 2) return undefined
  const height = strips.length * STRIP
  return html`<section aria-labelledby="deleted">
    <h2 id="deleted">Rows deleted a day</h2>
    <svg class="chart" role="img" aria-label="${summary(strips, days)}" width="100%" height="${height + AXIS}">
      ${months(days, height)} ${strips.map((strip, index) => titles(strip, days, index))}
      <svg width="100%" height="${height}" viewBox="0 0 ${days.length} ${height}" preserveAspectRatio="none">
        ${strips.map(({ rows }, index) => bars(rows, (index + 1) * STRIP - GAP))}
        <g>${days.map((day, index) => html`<rect x="${index}"><title>${dayText(day, index, strips)}</title></rect> `)}</g>
      </svg>
    </svg>
    ${strips.some(({ rows }) => Math.max(...rows) > scaleOf(rows)) ? html`<p class="note">A bar with a gap is cut off: its day is far above the others.</p>` : undefined}
    <details>
      <summary>The same as a table</summary>
      ${table(strips, days)}
    </details>
  </section>`
}

/** Every configured job, then those of which only runs are known. */
function stripsOf(configured: readonly string[], { days, jobs }: DeletedByDay): Strip[] {
  const none = days.map(() => 0)
  return [...new Set([...configured, ...jobs.keys()])].map((job) => ({ job, rows: jobs.get(job) ?? none }))
}

function titles({ job, rows }: Strip, days: readonly string[], index: number): Html {
  const y = index * STRIP + TITLE - 8
  const most = Math.max(...rows)
  const figures = most === 0 ? 'none' : `${countText(sum(rows))}, most ${countText(most)} on ${shortDay(days[rows.indexOf(most)]!)}`
  return html`<text x="0" y="${y}">${job}</text><text class="figures" x="100%" y="${y}">${figures}</text
    ><line class="base" x1="0" x2="100%" y1="${(index + 1) * STRIP - GAP + 0.5}" y2="${(index + 1) * STRIP - GAP + 0.5}" /> `
}

function bars(rows: readonly number[], base: number): Html {
  const scale = scaleOf(rows)
  const paths = rows.map((count, index) => {
    if (count === 0) return ''
    if (count > scale) return `${bar(index, base, BARS - CUT.top - CUT.gap)}${bar(index, base - BARS + CUT.top, CUT.top)}`
    return bar(index, base, Math.round(Math.max(LEAST_BAR, (count / scale) * BARS) * 10) / 10)
  })
  return html`<path d="${paths.join('')}" /> `
}

function bar(index: number, base: number, height: number): string {
  return `M${index + 0.1} ${base}v-${height}h.8v${height}z`
}

/**
 * The first purge of an old database deletes more than a year of nights: bars that are rare and far above the rest are cut off, so that the rest can be seen.
 */
function scaleOf(rows: readonly number[]): number {
  const counts = rows.filter((count) => count > 0).toSorted((a, b) => a - b)
  const most = counts.at(-1) ?? 0
  if (counts.length < ENOUGH_DAYS) return most
  const usual = counts[Math.floor((counts.length - 1) * USUAL_SHARE)]! * HEADROOM
  return most > 2 * usual ? usual : most
}

const ENOUGH_DAYS = 10
const USUAL_SHARE = 0.95
const HEADROOM = 1.2

/** The first day of each month. */
function months(days: readonly string[], height: number): Html[] {
  return days.flatMap((day, index) => {
    if (!day.endsWith('-01')) return []
    const x = `${Math.round((index / days.length) * 10_000) / 100}%`
    return html`<line class="month" x1="${x}" x2="${x}" y1="0" y2="${height}" /><text class="axis" x="${x}" y="${height + AXIS - 5}"
        >${MONTHS[Number(day.slice(5, 7)) - 1]}</text
      > `
  })
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** `24 Nov` */
function shortDay(day: string): string {
  return `${Number(day.slice(8))} ${MONTHS[Number(day.slice(5, 7)) - 1]}`
}

function dayText(day: string, index: number, strips: readonly Strip[]): string {
  return [day, ...strips.map(({ job, rows }) => `${job}: ${countText(rows[index]!)}`)].join('\n')
}

function summary(strips: readonly Strip[], days: readonly string[]): string {
  return `Rows deleted a day from ${days[0]} to ${days.at(-1)}: ${strips.map(({ job, rows }) => `${job} ${countText(sum(rows))}`).join(', ')}`
}

function table(strips: readonly Strip[], days: readonly string[]): Html {
  const listed = days.map((day, index) => ({ day, counts: strips.map(({ rows }) => rows[index]!) })).filter(({ counts }) => sum(counts) > 0)
  return html`<p>Nothing was deleted on days that are not listed.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Rows deleted a day, as a table">
      <table class="days">
        <thead>
          <tr>
            <th scope="col">Day, UTC</th>
            ${strips.map(({ job }) => html`<th scope="col">${job}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${listed.toReversed().map(
            ({ day, counts }) =>
              html`<tr>
                <th>${day}</th>
                ${counts.map((count) => html`<td>${countText(count)}</td>`)}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
