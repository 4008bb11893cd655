import { isBad } from '../../runs/result.ts'
import { html, type Html, type Part } from './html.ts'

/** A recorded text is bounded and ends with what to do, so it is shown whole. Each of several reasons has its own line. */
export function lines(text: string): Html {
  return html`${text.split('\n').map((line, at) => html`${at === 0 ? undefined : html`<br />`}${whole(line)}`)}`
}

/** A browser breaks lines at hyphens, and an option that is broken is hard to read. */
function whole(line: string): readonly Part[] {
  return line.split(/(?<= )(--[a-z][a-z-]*)/).map((piece, at) => (at % 2 === 1 ? html`<span class="word">${piece}</span>` : piece))
}

/** The first part and, below it in smaller type, the second. */
export function twoLines(first: Part, second: Part): Html {
  return second === undefined ? html`${first}` : html`${first}<small>${second}</small>`
}

/** Outcomes that need a person's attention have a mark, since colour alone is not enough. */
export function outcomeText(outcome: string | undefined): Html {
  if (outcome === undefined) return html`<b class="open">not ended</b>`
  return isBad(outcome) ? html`<b class="bad">✕ ${outcome}</b>` : html`${outcome}`
}
