import { countText } from '../../number-text.ts'
import type { RunDocument, StatusDocument } from '../../status/document.ts'
import { durationText } from '../../time/time-text.ts'
import { html, type Html } from './html.ts'
import { shortly } from './moments.ts'
import { cut, outcomeText } from './texts.ts'

/** The last runs of all jobs, newest first. */
export function runsSection({ jobs }: StatusDocument): Html | undefined {
  const runs = jobs
    .flatMap(({ recentRuns }) => recentRuns)
    .toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt) || b.id - a.id)
  if (runs.length === 0) return undefined
  return html`<section aria-labelledby="runs">
    <h2 id="runs">Recent runs</h2>
    <table class="runs">
      <thead>
        <tr>
          <th scope="col">Began</th>
          <th scope="col">Job</th>
          <th scope="col">Outcome</th>
          <th scope="col">Deleted</th>
          <th scope="col">Took</th>
          <th scope="col">Trigger</th>
          <th scope="col">Worker</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map(row)}
      </tbody>
    </table>
  </section>`
}

function row({ startedAt, job, outcome, deleted, durationMs, trigger, worker, error }: RunDocument): Html {
  return html`<tr>
      <td>${shortly(startedAt)}</td>
      <td>${job}</td>
      <td>${outcomeText(outcome)}</td>
      <td>${countText(deleted)}</td>
      <td>${durationMs === null ? '' : durationText(Math.max(0, durationMs))}</td>
      <td>${trigger}</td>
      <td>${worker}</td>
    </tr>
    ${
      error === null
        ? undefined
        : html`<tr class="why">
            <td></td>
            <td colspan="6"><small>${cut(error)}</small></td>
          </tr> `
    }`
}
