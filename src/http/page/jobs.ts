import { countText } from '../../number-text.ts'
import type { JobStatus } from '../../status/job-status.ts'
import type { Status } from '../../status/read-status.ts'
import { heldText, overdueText, removesText, ruleText, spanText, tookText, waitingText } from '../../status/sentences.ts'
import type { EpochMs } from '../../time/clock.ts'
import { html, type Html } from './html.ts'
import { ago, ahead, at } from './moments.ts'
import { lines, outcomeText, twoLines } from './texts.ts'

/** What each job does, its last run and its next, and what waits for it. */
export function jobsSection(status: Status): Html {
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

function row(job: JobStatus, status: Status): Html {
  const cells: readonly (readonly [string, Html])[] = [
    ['Schedule', schedule(job, status.scheduleTimeZone)],
    ['Last run', lastRun(job, status)],
    ['Next run', nextRun(job, status.at)],
    ['Waiting', waiting(job)],
  ]
  return html`<tr role="row" ${job.enabled ? undefined : html` class="off"`}>
    <th role="rowheader" scope="row">
      ${twoLines(job.job.name, removesText(job))}${(job.rules ?? []).map((rule) => html`<small class="rule">longer: ${ruleText(rule)}</small>`)}
    </th>
    ${cells.map(([title, cell]) => html`<td role="cell" data-title="${title}"><div>${cell}</div></td> `)}
  </tr>`
}

function schedule({ enabled, schedule: expression, scheduleInWords }: JobStatus, timeZone: string): Html {
  if (!enabled) return html`disabled`
  return twoLines(scheduleInWords, html`<code>${expression}</code> in ${timeZone}`)
}

function lastRun({ lastRun: run, running, overdueSlot }: JobStatus, { at: now, database }: Status): Html {
  const lateness = overdueSlot !== undefined ? html`<b class="bad">✕ late</b>, ` : undefined
  if (running !== undefined)
    return twoLines(
      html`${lateness}<b class="open">running${running.since === undefined ? '' : ` for ${spanText(running.since, now)}`}</b>`,
      running.worker,
    )
  if (run === undefined) return html`${lateness}${database.reachable ? 'none on record' : 'not known'}`
  const took = tookText(run)
  return twoLines(
    html`${lateness}${outcomeText(run.outcome)} ${ago(run.startedAt, now)}`,
    `deleted ${countText(run.deleted)}${took === undefined ? '' : `, ${took}`}`,
  )
}

function nextRun({ nextRunAt }: JobStatus, now: EpochMs): Html {
  return nextRunAt === undefined ? html`none` : twoLines(ahead(nextRunAt, now), at(nextRunAt))
}

/** For an enabled job, the reason why this is not known is a finding, which is shown above. */
function waiting(job: JobStatus): Html {
  const { backlog, enabled, problems, warnings } = job
  const held = heldText(job)
  const kept = held === undefined ? undefined : html`<small>held: ${held}</small>`
  if (backlog !== undefined) return html`${twoLines(waitingText(backlog), overdueText(backlog))}${kept}`
  const [why] = enabled ? [] : [...problems, ...warnings]
  return html`${twoLines('not known', why === undefined ? undefined : lines(why))}${kept}`
}
