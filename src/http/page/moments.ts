import { MINUTE } from '../../time/clock.ts'
import { agoText, durationText, minuteText } from '../../time/time-text.ts'
import { html, type Html } from './html.ts'

/** Times come as ISO 8601, as the document has them. All are shown in UTC; whoever looks is somewhere else than the server. */

export function at(time: string): Html {
  return html`<time datetime="${time}">${minuteText(Date.parse(time))}</time>`
}

/** The year stands where there is room for it. */
export function shortly(time: string): Html {
  const text = minuteText(Date.parse(time))
  return html`<time datetime="${time}"><span class="wide">${text.slice(0, 5)}</span>${text.slice(5)}</time>`
}

export function ago(time: string, now: string): Html {
  return html`<time datetime="${time}" title="${minuteText(Date.parse(time))} UTC">${agoText(roughly(msBetween(time, now)))}</time>`
}

export function ahead(time: string, now: string): Html {
  return html`in ${durationText(Math.max(0, roughly(msBetween(now, time))))}`
}

export function msBetween(earlier: string, later: string): number {
  return Date.parse(later) - Date.parse(earlier)
}

/** A page is looked at for longer than a second. */
function roughly(ms: number): number {
  return ms < MINUTE ? ms : Math.floor(ms / MINUTE) * MINUTE
}
