import { countText, estimateText, plural } from '../../number-text.ts'
import type { JobDocument, StatusDocument } from '../../status/document.ts'
import { durationText } from '../../time/time-text.ts'
import { html, type Html } from './html.ts'
import { ago, ahead, at, msBetween } from './moments.ts'
import { cut, outcomeText, twoLines } from './texts.ts'

/** What each job is, when it ran and runs, and what waits for it. */
export function jobsSection(status: StatusDocument): Html {
  return html`<section aria-labelledby="jobs">
    <h2 id="jobs">Jobs</h2>
    <table class="jobs" role="table">
      <thead role="rowgroup">
        <tr role="row">
          ${['Job', 'Schedule', 'Last run', 'Next run', 'Waiting'].map((title) => html`<th role="columnheader" scope="col">${title}</th>`)}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${status.jobs.map((job) => row(job, status))}
      </tbody>
    </table>
  </section>`
}

function row(job: JobDocument, status: StatusDocument): Html {
  const cells: readonly (readonly [string, Html])[] = [
    ['Schedule', schedule(job, status.scheduleTimeZone)],
    ['Last run', lastRun(job, status)],
    ['Next run', nextRun(job, status.at)],
    ['Waiting', waiting(job)],
  ]
  return html`<tr role="row" ${job.enabled ? undefined : html` class="off"`}>
    <th role="rowheader" scope="row">
      ${twoLines(job.job, html`${job.table} ${job.retention === null ? 'that have expired' : `older than ${job.retention}`}`)}
    </th>
    ${cells.map(([title, cell]) => html`<td role="cell" data-title="${title}"><div>${cell}</div></td> `)}
  </tr>`
}

function schedule({ enabled, schedule: expression, scheduleInWords }: JobDocument, timeZone: string): Html {
  if (!enabled) return html`disabled`
  return twoLines(scheduleInWords, html`<code>${expression}</code> in ${timeZone}`)
}

function lastRun({ lastRun: run, running, late }: JobDocument, { at: now, database }: StatusDocument): Html {
  const lateness = late ? html`<b class="bad">✕ late</b>, ` : undefined
  if (running !== null)
    return twoLines(
      html`${lateness}<b class="open"
          >running${running.since === null ? '' : ` for ${durationText(Math.max(0, msBetween(running.since, now)))}`}</b
        >`,
      running.worker,
    )
  if (run === null) return html`${lateness}${database.reachable ? 'none on record' : 'not known'}`
  const took = run.durationMs === null ? '' : `, took ${durationText(Math.max(0, run.durationMs))}`
  return twoLines(html`${lateness}${outcomeText(run.outcome)} ${ago(run.startedAt, now)}`, `deleted ${countText(run.deleted)}${took}`)
}

function nextRun({ nextRunAt }: JobDocument, now: string): Html {
  return nextRunAt === null ? html`none` : twoLines(ahead(nextRunAt, now), at(nextRunAt))
}

function waiting({ backlog, problems }: JobDocument): Html {
  if (backlog === null) return twoLines('not known', problems[0] === undefined ? undefined : cut(problems[0]))
  if (backlog.rows === 0) return html`nothing`
  const rows = `${estimateText(backlog.rows, backlog.exact)} ${plural(backlog.rows, 'row')}`
  return twoLines(rows, backlog.overdueMs === null ? undefined : `oldest ${durationText(backlog.overdueMs)} past its time`)
}
