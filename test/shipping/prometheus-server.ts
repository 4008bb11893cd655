import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'

export type Labels = Readonly<Record<string, string>>

/** The labels that a real Prometheus gives a metric once it has scraped a text with the given scrape job, whose target is a server here. */
export async function labelsOnceScraped(
  scrapeConfig: Readonly<Record<string, unknown>>,
  text: string,
  metric: string,
): Promise<readonly Labels[]> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-prometheus-'))
  const target = createServer((_, response) => void response.setHeader('content-type', 'text/plain; version=0.0.4').end(text)).listen(
    0,
    '127.0.0.1',
  )
  await once(target, 'listening')
  const port = await freePort()
  const scrape = {
    ...scrapeConfig,
    scrape_interval: '1s',
    scrape_timeout: '1s',
    static_configs: [{ targets: [`127.0.0.1:${(target.address() as AddressInfo).port}`] }],
  }
  await writeFile(join(folder, 'prometheus.yml'), stringify({ scrape_configs: [scrape] }))
  const words = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`]
  const server = spawn('prometheus', words, { stdio: 'ignore' })
  try {
    for (const end = Date.now() + 60_000; Date.now() < end && server.exitCode === null; await sleep(200)) {
      const found = await queried(`http://127.0.0.1:${port}/api/v1/query?query=${metric}`)
      if (found.length > 0) return found
    }
    throw new Error(`Prometheus has no ${metric}`)
  } finally {
    server.kill('SIGKILL')
    target.closeAllConnections()
    target.close()
    if (server.exitCode === null && server.signalCode === null) await once(server, 'close')
    await rm(folder, { recursive: true, force: true })
  }
}

async function queried(url: string): Promise<readonly Labels[]> {
  try {
    const answer = (await (await fetch(url)).json()) as { data?: { result: readonly { metric: Labels }[] } }
    return (answer.data?.result ?? []).map(({ metric }) => metric)
  } catch {
    return []
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
