import { messageOf } from '../errors.ts'
import { jsonDocument, visible } from '../observe/control-characters.ts'
import type { Events } from '../observe/events.ts'
import type { Listener } from '../observe/fan-out.ts'
import type { Metrics } from '../observe/metrics.ts'
import { statusDocument } from '../status/document.ts'
import type { LatestStatus, Patience } from '../status/latest.ts'
import { openObserved } from '../status/observed.ts'
import type { Status } from '../status/read-status.ts'
import { MINUTE, SECOND, type Clock } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import { collected, plain, probe, shown, type Routes } from './pages.ts'
import { CONTENT_SECURITY_POLICY, pageOf } from './page/page.ts'
import { openReadiness } from './readiness.ts'
import { startServer, type HttpServer, type ServerOptions } from './server.ts'

/** What the worker shows about itself to programs and people. Nothing here changes anything. */
export interface Site {
  readonly listener: Listener
  /** Listens until disposed. Rejects with `HTTP_UNAVAILABLE`. */
  serve(at: Pick<ServerOptions, 'host' | 'port' | 'allowedHosts'>, events: Pick<Events, 'warning'>): Promise<HttpServer>
  /** To be called once the status can be read from the database. */
  shows(latest: LatestStatus): void
}

export interface SiteOptions {
  readonly metrics: Metrics
  readonly clock: Clock
  /** The status to show while there is no database to read it from; `problem` says why. */
  readonly without: (problem: string) => Status
}

/** A slow database does not keep a scrape from the counters: the gauges then have their previous values. */
const SCRAPE_PATIENCE = { freshMs: MINUTE, waitMs: SECOND / 4 }
const STATUS_PATIENCE = { freshMs: SECOND, waitMs: 2 * SECOND }
/**
 * A page is reloaded again and again, and says how old it is, so it may show a status that is a few seconds old while a new one is read. After the end of a
 * job, the next request waits for the new status.
 */
const PAGE_PATIENCE = { ...STATUS_PATIENCE, freshMs: 5 * SECOND, renewMs: SECOND }

export function openSite({ metrics, clock, without }: SiteOptions): Site {
  const readiness = openReadiness()
  const observed = openObserved(clock)
  let latest: LatestStatus | undefined
  const read = async (patience: Patience): Promise<{ readonly code: number; readonly status: Status }> => {
    const known = await latest?.within(patience)
    const [code, status] =
      known?.status === undefined
        ? [503, without(readiness.reason ?? UNANSWERED)]
        : [200, known.current ? known.status : unanswered(known.status)]
    return { code, status: { ...status, observed: observed.failures() } }
  }
  const routes: Routes = {
    '/': shown(async () => {
      const { code, status } = await read(PAGE_PATIENCE)
      return { status: code, type: 'text/html; charset=utf-8', body: pageOf(status), securityPolicy: CONTENT_SECURITY_POLICY }
    }),
    '/metrics': collected(async () => {
      const known = await latest?.within(SCRAPE_PATIENCE)
      if (known?.current === true && known.status !== undefined) metrics.updateGauges(known.status)
      return { status: 200, type: metrics.contentType, body: await metrics.text() }
    }),
    // The answer itself shows that the process is alive and its event loop is turning.
    '/healthz': probe(() => plain(200, 'ok')),
    '/readyz': probe(() => (readiness.reason === undefined ? plain(200, 'ok') : plain(503, visible(readiness.reason)))),
    '/status': shown(async () => {
      const { code, status } = await read(STATUS_PATIENCE)
      return { status: code, type: 'application/json', body: jsonDocument(statusDocument(status)) }
    }),
  }
  return {
    listener: {
      ...readiness.listener,
      lost: () => latest?.outdate(),
      regained: () => latest?.outdate(),
      jobFinished(result) {
        observed.listener.jobFinished(result)
        latest?.outdate()
      },
    },
    serve: (at, events) =>
      startServer({ ...at, routes, failed: (path, error) => events.warning(`${path} could not be answered: ${messageOf(error)}`) }),
    shows: (given) => void (latest = given),
  }
}

const UNANSWERED = `the database has not answered for ${durationText(STATUS_PATIENCE.waitMs)}`

/** The last known status, marked as such. */
function unanswered(status: Status): Status {
  return {
    ...status,
    database: { ...status.database, reachable: false, problem: `${UNANSWERED}; everything else is as of the time that is shown` },
  }
}
