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
import { collected, plain, probe, shown, type Routes } from './drawn-pages.ts'
import { CONTENT_SECURITY_POLICY, pageOf } from './page/page.ts'
import { openReadiness } from './readiness.ts'
import { startServer, type HttpServer, type ServerOptions } from './server.ts'

/** What the worker shows of itself to machines and people. Nothing here changes anything. */
export interface Site {
  readonly listener: Listener
  /** Listens until disposed. Rejects with `HTTP_UNAVAILABLE`. */
  serve(at: Pick<ServerOptions, 'host' | 'port' | 'allowedHosts'>, events: Pick<Events, 'warning'>): Promise<HttpServer>
  /** From now on the database can be asked. */
  shows(latest: LatestStatus): void
}

export interface SiteOptions {
  readonly metrics: Metrics
  readonly clock: Clock
  /** What is told while there is no database to ask, and why there is none. */
  readonly without: (problem: string) => Status
}

/** A scrape is not kept from its counters by a database that is slow: gauges are then as they were. */
const SCRAPE = { freshMs: MINUTE, waitMs: SECOND / 4 }
const LOOK = { freshMs: SECOND, waitMs: 2 * SECOND }
/** A page is looked at again and again, and says of when it is; when a job ends, the next look waits for what is true then. */
const GLANCE = { ...LOOK, freshMs: 5 * SECOND, renewMs: SECOND }

export function openSite({ metrics, clock, without }: SiteOptions): Site {
  const readiness = openReadiness()
  const observed = openObserved(clock)
  let latest: LatestStatus | undefined
  const look = async (patience: Patience): Promise<{ readonly status: number; readonly seen: Status }> => {
    const known = await latest?.within(patience)
    const [status, told] =
      known?.status === undefined
        ? [503, without(readiness.reason ?? UNANSWERED)]
        : [200, known.current ? known.status : unanswered(known.status)]
    return { status, seen: { ...told, observed: observed.failures() } }
  }
  const routes: Routes = {
    '/': shown(async () => {
      const { status, seen } = await look(GLANCE)
      return { status, type: 'text/html; charset=utf-8', body: pageOf(seen), securityPolicy: CONTENT_SECURITY_POLICY }
    }),
    '/metrics': collected(async () => {
      const known = await latest?.within(SCRAPE)
      if (known?.current === true && known.status !== undefined) metrics.updateGauges(known.status)
      return { status: 200, type: metrics.contentType, body: await metrics.text() }
    }),
    // That it is answered says that the process is there and its event loop turns.
    '/healthz': probe(() => plain(200, 'ok')),
    '/readyz': probe(() => (readiness.reason === undefined ? plain(200, 'ok') : plain(503, visible(readiness.reason)))),
    '/status': shown(async () => {
      const { status, seen } = await look(LOOK)
      return { status, type: 'application/json', body: jsonDocument(statusDocument(seen)) }
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

const UNANSWERED = `the database has not answered for ${durationText(LOOK.waitMs)}`

/** As it was last known. */
function unanswered(status: Status): Status {
  return {
    ...status,
    database: { ...status.database, reachable: false, problem: `${UNANSWERED}; what else is told is of the time it is dated` },
  }
}
