import { isBad } from '../../runs/result.ts'
import { html, type Html, type Part } from './html.ts'

/** An error may be very long: what is on record of it is in /status, and all of it in the log. */
const LONGEST = 200

export function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST).trimEnd()} …`
}

/** What is said first, and below it, smaller, what is said besides. */
export function twoLines(first: Part, second: Part): Html {
  return second === undefined ? html`${first}` : html`${first}<small>${second}</small>`
}

/** Outcomes that a person should look at are told apart by a mark, not by colour alone. */
export function outcomeText(outcome: string | undefined): Html {
  if (outcome === undefined) return html`<b class="open">not ended</b>`
  return isBad(outcome) ? html`<b class="bad">✕ ${outcome}</b>` : html`${outcome}`
}
