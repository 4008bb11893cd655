import { messageOf } from '../errors.ts'
import type { Events } from '../observe/events.ts'
import type { Listener } from '../observe/fan-out.ts'
import { scrubber } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { statusDocument } from '../status/document.ts'
import type { LatestStatus } from '../status/latest.ts'
import type { Status } from '../status/status.ts'
import { MINUTE, SECOND } from '../time.ts'
import { openReadiness } from './readiness.ts'
import { plain, startServer, type HttpServer, type Page, type Pages } from './server.ts'

/** What the worker shows of itself to machines and people. Nothing here changes anything. */
export interface Site {
  readonly listener: Listener
  /** Listens until disposed. Rejects with `HTTP_UNAVAILABLE`. */
  serve(at: { readonly host: string; readonly port: number }, events: Pick<Events, 'warning'>): Promise<HttpServer>
  /** From now on the database can be asked. */
  shows(latest: LatestStatus): void
}

export interface SiteOptions {
  readonly metrics: Metrics
  /** What must never appear, whatever an error's text holds. */
  readonly secrets: readonly string[]
}

/** A scrape is not kept from its counters by a database that is slow: gauges are then as they were. */
const SCRAPE = { freshMs: MINUTE, waitMs: SECOND / 4 }
const LOOK = { freshMs: SECOND, waitMs: 2 * SECOND }

export function openSite({ metrics, secrets }: SiteOptions): Site {
  const hide = scrubber(secrets)
  const readiness = openReadiness()
  let latest: LatestStatus | undefined
  const pages: Pages = {
    async '/metrics'() {
      const known = await latest?.within(SCRAPE)
      if (known?.current === true && known.status !== undefined) metrics.know(known.status)
      return { status: 200, type: metrics.contentType, body: await metrics.text() }
    },
    // That it is answered says that the process is there and its event loop turns.
    '/healthz': () => plain(200, 'ok'),
    '/readyz': () => (readiness.reason === undefined ? plain(200, 'ok') : plain(503, String(hide(readiness.reason)))),
    async '/status'() {
      const known = await latest?.within(LOOK)
      if (known?.status === undefined) return json(503, hide({ problem: readiness.reason ?? UNANSWERED }))
      return json(200, hide(statusDocument(known.current ? known.status : unanswered(known.status))))
    },
  }
  return {
    listener: { ...readiness.listener, jobFinished: () => latest?.outdate() },
    serve: (at, events) =>
      startServer({ ...at, pages, failed: (path, error) => events.warning(`${path} could not be answered: ${messageOf(error)}`) }),
    shows: (given) => void (latest = given),
  }
}

const UNANSWERED = `it has not answered for ${LOOK.waitMs / SECOND} s`

/** As it was last known. */
function unanswered(status: Status): Status {
  return {
    ...status,
    database: { ...status.database, reachable: false, problem: `${UNANSWERED}; what else is told is of the time it is dated` },
  }
}

function json(status: number, value: unknown): Page {
  return { status, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` }
}
