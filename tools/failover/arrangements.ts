import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Proxy } from '../../test/faults/proxy.ts'
import { freePort } from '../../test/support/postgres-server.ts'
import { asked, bothHosts, type ReplicatedPair } from '../../test/support/standby.ts'

/** How the worker finds the primary of a pair. */
export interface Arrangement extends AsyncDisposable {
  /** As DATABASE_URL. */
  readonly url: string
  /** Called as soon as the new primary takes writes. */
  promoted(): void
  /** Called when the pair is complete again. */
  completed(): void
  /** The machine of the primary vanishes: nothing that is sent to it is answered, not even by a refusal. */
  vanish(): void
}

export interface Kind {
  readonly name: string
  /** `undefined`: it can be measured here. */
  readonly missing: string | undefined
  readonly open: (pair: ReplicatedPair) => Promise<Arrangement>
}

const HAPROXY = ['haproxy', '/usr/sbin/haproxy'].find((path) => {
  try {
    execFileSync(path, ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

export const KINDS: readonly Kind[] = [
  { name: 'both hosts in DATABASE_URL', missing: undefined, open: severalHosts },
  { name: 'an address that is led to the new primary (Kubernetes Service, virtual IP)', missing: undefined, open: oneAddress },
  {
    name: 'HAProxy, which asks /primary every 3 s',
    missing: HAPROXY === undefined ? 'there is no haproxy here' : undefined,
    open: haproxy,
  },
]

async function severalHosts(pair: ReplicatedPair): Promise<Arrangement> {
  const links = [await Proxy.open(pair.primaryUrl), await Proxy.open(pair.standbyUrl)] as const
  let [primary, standby]: readonly [Proxy, Proxy] = links
  return {
    url: bothHosts({ primaryUrl: primary.through(pair.primaryUrl).href, standbyUrl: standby.through(pair.standbyUrl).href }),
    promoted: () => {},
    completed() {
      ;[primary, standby] = [standby, primary]
      standby.leadTo(pair.standbyUrl, { keep: true })
    },
    vanish: () => primary.vanish(),
    [Symbol.asyncDispose]: async () => void (await Promise.all(links.map((link) => link[Symbol.asyncDispose]()))),
  }
}

async function oneAddress(pair: ReplicatedPair): Promise<Arrangement> {
  const link = await Proxy.open(pair.primaryUrl)
  const url = `${link.through(pair.primaryUrl).href}?sslmode=disable`
  // Connections that were made through it before stay with the old one.
  let next = pair.standbyUrl
  return {
    url,
    promoted: () => link.leadTo(next, { keep: true }),
    completed: () => void (next = pair.standbyUrl),
    vanish: () => link.vanish(),
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  }
}

/** As Patroni's documentation has it. In place of Patroni's REST interface, which says who is primary, stands one that asks the server. */
async function haproxy(pair: ReplicatedPair): Promise<Arrangement> {
  const inner = await severalHosts(pair)
  const [first = '', second = ''] = /@([^/]*)/.exec(inner.url)![1]!.split(',')
  const checks = await Promise.all([first, second].map((place) => answering(`postgres://postgres@${place}/postgres`)))
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-haproxy-'))
  await writeFile(
    join(folder, 'haproxy.cfg'),
    `defaults
  mode tcp
  retries 2
  timeout client 30m
  timeout connect 4s
  timeout server 30m
  timeout check 5s
listen postgres
  bind 127.0.0.1:${port}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
  server first ${first} check port ${checks[0]!.port}
  server second ${second} check port ${checks[1]!.port}
`,
  )
  const child = spawn(HAPROXY!, ['-db', '-f', join(folder, 'haproxy.cfg')], { stdio: 'ignore' })
  const url = `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await asked(url, 'SELECT').catch(() => undefined)
    if (answer !== undefined) break
    await sleep(200)
  }
  return {
    url,
    promoted: () => inner.promoted(),
    completed: () => inner.completed(),
    vanish: () => inner.vanish(),
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
      for (const { close } of checks) close()
      await inner[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function answering(url: string): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createServer((_, response) => {
    const primary = asked<{ primary: boolean }>(url, 'SELECT NOT pg_is_in_recovery() AS primary').then(([row]) => row!.primary)
    void primary.catch(() => false).then((is) => response.writeHead(is ? 200 : 503).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
