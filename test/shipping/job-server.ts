import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

interface Job {
  readonly metadata: { readonly name: string; uid?: string; resourceVersion?: string }
  status?: unknown
}

/** As much of a cluster's API as kubectl needs for the Jobs of one namespace, which end shortly after they are created. */
export interface JobServer extends AsyncDisposable {
  readonly url: string
}

const BATCH = { groupVersion: 'batch/v1', version: 'v1' }
const JOBS = '/apis/batch/v1/namespaces/default/jobs'
const NOT_FOUND = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404, message: 'there is none' }
const POD = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name: 'pod', namespace: 'default' },
  spec: { containers: [{ name: 'maintenance' }] },
  status: { phase: 'Succeeded' },
}

const FOUND: Readonly<Record<string, unknown>> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [{ name: 'batch', versions: [BATCH], preferredVersion: BATCH }] },
  '/api/v1': {
    kind: 'APIResourceList',
    groupVersion: 'v1',
    resources: ['pods', 'pods/log'].map((name) => ({ name, namespaced: true, kind: 'Pod', verbs: ['get', 'list'] })),
  },
  '/apis/batch/v1': {
    kind: 'APIResourceList',
    groupVersion: 'batch/v1',
    resources: [{ name: 'jobs', singularName: 'job', namespaced: true, kind: 'Job', verbs: ['create', 'delete', 'get', 'list', 'watch'] }],
  },
  '/api/v1/namespaces/default/pods': { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [POD] },
  '/api/v1/namespaces/default/pods/pod': POD,
  '/api/v1/namespaces/default/pods/pod/log': 'what it said',
}

/** `conditions`: of a Job that has ended. */
export async function jobServer(conditions: readonly string[], tookMs: number): Promise<JobServer> {
  let job: Job | undefined
  let version = 0
  const watching = new Set<ServerResponse>()
  const timers = new Set<NodeJS.Timeout>()
  const notify = (type: string, object: Job): void => watching.forEach((each) => each.write(`${JSON.stringify({ type, object })}\n`))
  const made = (body: Job): Job => {
    const it = { ...body, metadata: { ...body.metadata, uid: String((version += 1)), resourceVersion: String(version) } }
    const end = setTimeout(() => {
      it.status = { conditions: conditions.map((type) => ({ type, status: 'True' })) }
      it.metadata.resourceVersion = String((version += 1))
      notify('MODIFIED', it)
    }, tookMs)
    timers.add(end)
    return it
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    }
    if (pathname === JOBS && request.method === 'POST') return send(201, (job = made((await json(request)) as Job)))
    if (pathname === JOBS && searchParams.has('watch')) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      watching.add(response)
      if (job !== undefined) notify('ADDED', job)
      return
    }
    if (pathname === JOBS)
      return send(200, {
        kind: 'JobList',
        apiVersion: 'batch/v1',
        metadata: { resourceVersion: '1' },
        items: job === undefined ? [] : [job],
      })
    if (job !== undefined && pathname === `${JOBS}/${job.metadata.name}`) {
      const there = job
      if (request.method === 'DELETE') job = undefined
      return send(
        200,
        request.method === 'DELETE' ? { kind: 'Status', apiVersion: 'v1', status: 'Success', details: { uid: there.metadata.uid } } : there,
      )
    }
    const found = FOUND[pathname]
    return send(found === undefined ? 404 : 200, found ?? NOT_FOUND)
  }
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const each of timers) clearTimeout(each)
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
