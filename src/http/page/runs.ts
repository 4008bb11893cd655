import { countText } from '../../number-text.ts'
import type { PastRun } from '../../runs/past-runs.ts'
import type { Status } from '../../status/read-status.ts'
import { spanText } from '../../status/sentences.ts'
import { html, type Html } from './html.ts'
import { shortly } from './moments.ts'
import { lines, outcomeText, twoLines } from './texts.ts'

/** The last runs of all jobs, newest first. */
export function runsSection({ jobs }: Status): Html | undefined {
  const runs = jobs.flatMap(({ recentRuns }) => recentRuns).toSorted((a, b) => b.startedAt - a.startedAt || b.id - a.id)
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

function row({ startedAt, job, finishedAt, outcome, deleted, held, trigger, worker, error }: PastRun): Html {
  return html`<tr>
      <td>${shortly(startedAt)}</td>
      <td>${job}</td>
      <td>${outcomeText(outcome)}</td>
      <td>${twoLines(countText(deleted), held === 0 ? undefined : `${countText(held)} held`)}</td>
      <td>${finishedAt === undefined ? '' : spanText(startedAt, finishedAt)}</td>
      <td>${trigger}</td>
      <td>${worker}</td>
    </tr>
    ${
      error === undefined
        ? undefined
        : html`<tr class="why">
            <td></td>
            <td colspan="6"><small>${lines(error)}</small></td>
          </tr> `
    }`
}
