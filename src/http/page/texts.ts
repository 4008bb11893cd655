import { isBad } from '../../runs/result.ts'
import { html, type Html, type Part } from './html.ts'

/** What stands on record is bounded, and what to do stands at its end: it is shown whole. Several reasons are several lines. */
export function lines(text: string): Html {
  return html`${text.split('\n').map((line, at) => html`${at === 0 ? undefined : html`<br />`}${whole(line)}`)}`
}

/** A browser breaks lines at hyphens, and an option that is broken is hard to read. */
function whole(line: string): readonly Part[] {
  return line.split(/(?<= )(--[a-z][a-z-]*)/).map((piece, at) => (at % 2 === 1 ? html`<span class="word">${piece}</span>` : piece))
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
