import { formatDay, formatTime, MINUTE, type EpochMs } from '../../time/clock.ts'
import { agoText, durationText, minuteText } from '../../time/time-text.ts'
import { html, type Html } from './html.ts'

/** All times are shown in UTC, because the reader may be in another time zone than the server. */

export function at(time: EpochMs): Html {
  return html`<time datetime="${formatTime(time)}">${minuteText(time)}</time>`
}

export function on(time: EpochMs): Html {
  return html`<time datetime="${formatTime(time)}">${formatDay(time)}</time>`
}

/** The year is shown if there is room for it. */
export function shortly(time: EpochMs): Html {
  const text = minuteText(time)
  return html`<time datetime="${formatTime(time)}"><span class="wide">${text.slice(0, 5)}</span>${text.slice(5)}</time>`
}

export function ago(time: EpochMs, now: EpochMs): Html {
  return html`<time datetime="${formatTime(time)}" title="${minuteText(time)} UTC">${agoText(roughly(now - time))}</time>`
}

export function ahead(time: EpochMs, now: EpochMs): Html {
  return html`in ${durationText(Math.max(0, roughly(time - now)))}`
}

/** To the minute, because a page is looked at for longer than a second. */
function roughly(ms: number): number {
  return ms < MINUTE ? ms : Math.floor(ms / MINUTE) * MINUTE
}
