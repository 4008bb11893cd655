import assert from 'node:assert/strict'
import { mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor'
import { PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { CronJob } from 'kubernetes-models/batch/v1/CronJob'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { PersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim'
import { parseAllDocuments } from 'yaml'
import { parseCommand } from '../../src/cli/parse.ts'
import { describeSettings } from '../../src/config/schema.ts'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { scheduleProblem } from '../../src/schedule/expression.ts'
import { prometheusRule, RULE_FILES } from '../../tools/prometheus-rules.ts'
import { CHECKOUT, filesBelow, run } from './checkout.ts'
import { jobServer } from './job-server.ts'
import { templateOf, workerOf, type CronJobSpec, type JobSpec, type PodSpec } from './kubernetes.ts'
import { inOrder, kustomize, withoutKubectl, type Resource } from './kustomize.ts'
import { ENVIRONMENT, HTTP_PORT } from './offered.ts'

const FOLDER = `${CHECKOUT}deploy/kubernetes/`
const ARCHIVE = 'mcp-gateway-maintenance-archive'
const { version }: { version: string } = JSON.parse(await readFile(`${CHECKOUT}package.json`, 'utf8'))
/** The source with the paths that the worker serves. */
const served = await readFile(`${CHECKOUT}src/http/routes.ts`, 'utf8')
const skip = (await withoutKubectl()) ?? false

const WAYS = ['deployment', 'sidecar', 'sqlite-sidecar', 'cronjob', 'migrate-job'] as const
const ADDITIONS = ['archive', 'monitoring', 'monitoring-cronjob', 'network-policy'] as const
const rendered = new Map<string, readonly Resource[]>()
for (const way of WAYS) {
  const resources = await kustomize(`${FOLDER}overlays/${way}`)
  rendered.set(way, resources)
  // Each way with every component, whether or not that makes sense there.
  let all = resources
  for (const addition of ADDITIONS) all = await kustomize(`${FOLDER}components/${addition}`, all)
  rendered.set(`${way} with all`, all)
}
rendered.set('example', await kustomize(`${FOLDER}example`))

function object(way: string, kind: string, name?: string): Resource {
  const found = rendered.get(way)!.filter((each) => each.kind === kind && (name === undefined || each.metadata.name === name))
  assert.equal(found.length, 1, `${way}: ${kind} ${name ?? ''}`)
  return found[0]!
}

function named(all: readonly Resource[]): unknown {
  return Object.fromEntries(all.map((each) => [`${each.kind} ${each.metadata.name}`, inOrder(each)]))
}

function podOf(each: Resource): PodSpec {
  return templateOf(each)!.spec
}

/** For each way, the object that has the worker's pod; the last one checks the archive. */
const PODS: readonly (readonly [title: string, each: Resource])[] = [
  ['the Deployment', object('deployment', 'Deployment')],
  ['the sidecar', object('sidecar', 'Deployment')],
  ['the SQLite sidecar', object('sqlite-sidecar', 'Deployment')],
  ['the CronJob', object('cronjob', 'CronJob')],
  ['the migrating Job', object('migrate-job', 'Job')],
  ['the archive check', object('deployment with all', 'CronJob', `${ARCHIVE}-verify`)],
]
const pod = (title: string): Resource => PODS.find(([each]) => each === title)![1]

const MODELS = { CronJob, Deployment, Job, NetworkPolicy, PersistentVolumeClaim, PodMonitor, PrometheusRule }
const OF_THE_OPERATOR = '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'
const MODULES: Readonly<Record<keyof typeof MODELS, string>> = {
  CronJob: 'kubernetes-models/batch/v1',
  Deployment: 'kubernetes-models/apps/v1',
  Job: 'kubernetes-models/batch/v1',
  NetworkPolicy: 'kubernetes-models/networking.k8s.io/v1',
  PersistentVolumeClaim: 'kubernetes-models/v1',
  PodMonitor: OF_THE_OPERATOR,
  PrometheusRule: OF_THE_OPERATOR,
}

function kindOf({ kind }: Resource): keyof typeof MODELS {
  assert.ok(Object.hasOwn(MODELS, kind), kind)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- just looked at
  return kind as keyof typeof MODELS
}

/** What the compiler says of objects as literals of their type: it also names fields that do not exist, which the schemas let through. */
async function compiled(objects: readonly Resource[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-manifests-'))
  try {
    await symlink(`${CHECKOUT}node_modules`, join(folder, 'node_modules'))
    const lines = objects.map(
      (each, at) => `export const o${at}: import('${MODULES[kindOf(each)]}/${each.kind}').I${each.kind} = ${JSON.stringify(each)}`,
    )
    await writeFile(join(folder, 'objects.ts'), lines.join('\n'))
    const options = [
      '--strict',
      '--noEmit',
      '--skipLibCheck',
      '--ignoreConfig',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--pretty',
      'false',
    ]
    const tsc = await realpath(`${CHECKOUT}node_modules/.bin/tsc`)
    const { stdout, stderr } = await run(process.execPath, [tsc, ...options, 'objects.ts'], { cwd: folder })
    return stdout + stderr
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

describe('what is shipped for Kubernetes', () => {
  it('is resolved by the tests as kubectl resolves it', { skip }, async () => {
    for (const way of [...WAYS.map((each) => `overlays/${each}`), 'example']) {
      const { code: exit, stdout, stderr } = await run('kubectl', ['kustomize', `${FOLDER}${way}`], { cwd: '/' })
      assert.equal(exit, 0, stderr)
      assert.equal(stderr, '', way)
      const byKubectl = parseAllDocuments(stdout, { version: '1.1' }).map((document) => document.toJS() as Resource)
      assert.deepEqual(named(rendered.get(way.replace('overlays/', ''))!), named(byKubectl), way)
    }
  })

  it('has only files that some kustomization names', async () => {
    const files = (await filesBelow(FOLDER)).filter((file) => !file.endsWith('kustomization.yaml'))
    assert.ok(files.length > 10)
    for (const file of files) {
      const [, folder = '', name = ''] = /^(.+)\/([^/]+)$/.exec(file) ?? []
      assert.match(await readFile(`${FOLDER}${folder}/kustomization.yaml`, 'utf8'), new RegExp(`^\\s+- (?:path: )?${name}$`, 'm'), file)
    }
  })

  it('fits the schemas of Kubernetes and of the Prometheus operator', () => {
    for (const objects of rendered.values()) for (const each of objects) new MODELS[kindOf(each)](structuredClone(each) as never).validate()
    const broken = structuredClone(object('deployment', 'Deployment'))
    Object.assign(workerOf(broken), { ports: [{ containerPort: 'maintenance' }] })
    assert.throws(() => new Deployment(broken).validate(), /containerPort must be integer/)
  })

  it('has only fields that exist', async () => {
    assert.equal(await compiled([...rendered.values()].flat()), '')
    const misspelt = structuredClone(object('deployment', 'Deployment'))
    Object.assign(podOf(misspelt), { enableServiceLink: false })
    assert.match(await compiled([misspelt]), /enableServiceLink/)
  })

  it('is a worker of two replicas, two sidecars, a nightly run, a migration and a weekly archive check', () => {
    assert.deepEqual(
      PODS.map(([, { apiVersion, kind, metadata }]) => `${apiVersion} ${kind} ${metadata.name}`),
      [
        'apps/v1 Deployment mcp-gateway-maintenance',
        'apps/v1 Deployment mcp-gateway',
        'apps/v1 Deployment mcp-gateway',
        'batch/v1 CronJob mcp-gateway-maintenance',
        'batch/v1 Job mcp-gateway-maintenance-migrate',
        `batch/v1 CronJob ${ARCHIVE}-verify`,
      ],
    )
    const replicas = (title: string): unknown => (pod(title)['spec'] as { replicas: number }).replicas
    assert.deepEqual(['the Deployment', 'the sidecar', 'the SQLite sidecar'].map(replicas), [2, 2, 1])
    assert.equal(podOf(pod('the Deployment')).topologySpreadConstraints?.length, 1)
    for (const objects of rendered.values()) assert.ok(objects.every(({ kind }) => kind !== 'PodDisruptionBudget'))
    // The example sets the image of this version in every object.
    const images = rendered
      .get('example')!
      .filter((each) => templateOf(each) !== undefined)
      .map((each) => workerOf(each).image)
    assert.deepEqual(new Set(images), new Set([`registry.example.com/platform/mcp-gateway-maintenance:${version}`]))
    assert.equal(images.length, 2)
  })

  for (const [title, each] of PODS) {
    it(`${title} starts this version with arguments and settings that exist, and finds its database`, () => {
      const { image, args = [], env = [], volumeMounts } = workerOf(each)
      assert.equal(image.split(':').at(-1), version)
      parseCommand(args)
      assert.deepEqual(
        env.filter(({ name }) => !ENVIRONMENT.has(name) && name !== 'MAINTENANCE_CONFIG'),
        [],
      )
      const [url, ...more] = env.filter(({ name }) => name.startsWith('DATABASE_URL'))
      assert.deepEqual(more, [])
      const mounted = volumeMounts.find(({ mountPath }) => (url!.value ?? '').includes(`${mountPath}/`))
      const volume = podOf(each).volumes.find(({ name }) => name === mounted?.name)
      if (title === 'the SQLite sidecar') {
        const found = parseDatabaseUrl(url!.value!)
        assert.ok(found.engine === 'sqlite' && volume?.persistentVolumeClaim !== undefined)
        const [gateway] = podOf(each).containers
        assert.deepEqual(gateway!.env, [url], "it is the gateway's own")
        assert.equal(podOf(each).securityContext.runAsUser, workerOf(each).securityContext.runAsUser)
        assert.ok(podOf(each).volumes.every(({ secret }) => secret === undefined))
      } else {
        assert.equal(mounted?.readOnly, true)
        assert.equal(volume?.secret?.defaultMode, 0o440)
      }
    })

    it(`${title} gives the worker no privileges, no token, no variables of services, no disk but /tmp, and little memory`, () => {
      const { securityContext, resources, volumeMounts } = workerOf(each)
      assert.deepEqual(securityContext, {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      })
      // Reading the archive may involve large rows.
      const memory = title === 'the archive check' ? '256Mi' : '128Mi'
      assert.deepEqual(resources, { requests: { cpu: '10m', memory: '96Mi' }, limits: { memory } })
      const {
        automountServiceAccountToken,
        enableServiceLinks,
        terminationGracePeriodSeconds,
        securityContext: ofPod,
        volumes,
      } = podOf(each)
      assert.deepEqual([automountServiceAccountToken, enableServiceLinks], [false, false])
      assert.equal(ofPod.fsGroup, securityContext.runAsGroup)
      assert.ok(terminationGracePeriodSeconds > 8)
      const writable = volumeMounts.filter(({ readOnly, mountPath }) => readOnly !== true && mountPath !== '/data')
      assert.deepEqual(
        writable.map(({ mountPath }) => mountPath),
        ['/tmp'],
      )
      assert.ok(volumes.some(({ name, emptyDir }) => name === writable[0]?.name && emptyDir?.medium === 'Memory'))
    })
  }

  for (const [way, kind] of [
    ['deployment', 'Deployment'],
    ['sidecar', 'Deployment'],
    ['cronjob', 'CronJob'],
  ] as const) {
    it(`the archive's component gives the worker of ${way} its folder and the memory for it, and changes nothing else`, () => {
      const [without, archiving] = [object(way, kind), object(`${way} with all`, kind, object(way, kind).metadata.name)]
      assert.deepEqual(workerOf(archiving).resources, { requests: { cpu: '10m', memory: '96Mi' }, limits: { memory: '256Mi' } })
      const added = workerOf(archiving).env!.slice(workerOf(without).env!.length)
      assert.deepEqual(added, [
        { name: 'ARCHIVE_ENABLED', value: 'true' },
        { name: 'ARCHIVE_DIRECTORY', value: '/archive' },
      ])
      assert.ok(added.every(({ name }) => ENVIRONMENT.has(name)))
      assert.deepEqual(workerOf(archiving).volumeMounts.slice(workerOf(without).volumeMounts.length), [
        { name: 'maintenance-archive', mountPath: '/archive' },
      ])
      assert.deepEqual(podOf(archiving).volumes.slice(podOf(without).volumes.length), [
        { name: 'maintenance-archive', persistentVolumeClaim: { claimName: ARCHIVE } },
      ])
      const back = structuredClone(archiving)
      const worker = workerOf(back)
      const { env, resources, volumeMounts } = structuredClone(workerOf(without))
      Object.assign(worker, { env, resources, volumeMounts })
      Object.assign(podOf(back), { volumes: podOf(without).volumes })
      assert.deepEqual(back, without)
    })
  }

  it('the archive is one volume for all workers, and the weekly check only reads it', () => {
    const { metadata, spec } = object('deployment with all', 'PersistentVolumeClaim')
    assert.deepEqual([metadata.name, (spec as { accessModes: unknown }).accessModes], [ARCHIVE, ['ReadWriteMany']])
    const look = pod('the archive check')
    const { args, env, volumeMounts } = workerOf(look)
    assert.deepEqual(args, ['archive', 'verify'])
    assert.ok(env!.some(({ name, value }) => name === 'ARCHIVE_DIRECTORY' && value === '/archive'))
    assert.ok(volumeMounts.some((mount) => mount.mountPath === '/archive' && mount.readOnly === true))
    assert.ok(podOf(look).volumes.some(({ persistentVolumeClaim: claim }) => claim?.claimName === ARCHIVE))
    const { schedule, jobTemplate } = look['spec'] as CronJobSpec
    assert.equal(scheduleProblem(schedule), undefined)
    // If something is wrong, another attempt would find the same.
    assert.deepEqual(jobTemplate.spec.podFailurePolicy.rules, [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1, 2] } }])
  })

  for (const title of ['the Deployment', 'the sidecar', 'the SQLite sidecar']) {
    it(`${title} has probes that the worker answers: readiness before it counts as started, then liveness`, () => {
      const { env = [], ports = [], startupProbe, livenessProbe, readinessProbe } = workerOf(pod(title))
      assert.equal(env.find(({ name }) => name === 'HTTP_ENABLED')?.value, 'true')
      // The address of the pod, because the kubelet cannot reach loopback.
      assert.deepEqual(env.find(({ name }) => name === 'HTTP_HOST')?.valueFrom, { fieldRef: { fieldPath: 'status.podIP' } })
      assert.deepEqual(ports, [{ name: 'maintenance', containerPort: HTTP_PORT }])
      assert.deepEqual(startupProbe?.httpGet, { path: '/readyz', port: 'maintenance' })
      assert.deepEqual(livenessProbe?.httpGet, { path: '/healthz', port: 'maintenance' })
      for (const { httpGet } of [startupProbe, livenessProbe]) assert.ok(served.includes(`'${httpGet.path}'`), httpGet.path)
      assert.equal(readinessProbe, undefined)
      // A worker must not be killed for waiting for another one's migration.
      const lockTimeout = describeSettings().find(({ key }) => key === 'migrations.lockTimeout')?.default
      assert.equal(lockTimeout, '10m')
      assert.ok(startupProbe.periodSeconds * startupProbe.failureThreshold > 10 * 60)
    })
  }

  it('each sidecar is a native one: an init container that keeps running', () => {
    for (const title of ['the sidecar', 'the SQLite sidecar']) {
      const { initContainers = [], containers } = podOf(pod(title))
      assert.deepEqual(
        initContainers.map(({ name, restartPolicy }) => [name, restartPolicy]),
        [['maintenance', 'Always']],
      )
      assert.deepEqual(
        containers.map(({ name }) => name),
        ['gateway'],
      )
    }
  })

  it('the nightly run and the migration have a time limit, are not retried if a person must act, and never overlap', () => {
    const nightly = pod('the CronJob')['spec'] as CronJobSpec
    assert.equal(scheduleProblem(nightly.schedule), undefined)
    assert.deepEqual([nightly.concurrencyPolicy, nightly.timeZone, nightly.startingDeadlineSeconds], ['Forbid', 'Etc/UTC', 3600])
    const migration = pod('the migrating Job')['spec'] as JobSpec
    for (const job of [nightly.jobTemplate.spec, migration]) {
      assert.ok(job.activeDeadlineSeconds >= 3600 && job.backoffLimit <= 3)
      assert.equal(job.template.spec.restartPolicy, 'Never')
      assert.deepEqual(job.podFailurePolicy.rules, [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [2, 4, 5] } }])
    }
    assert.deepEqual([workerOf(pod('the CronJob')).args, workerOf(pod('the migrating Job')).args], [['--run-now'], ['migrate']])
    const secrets = ['the CronJob', 'the migrating Job'].map((title) => podOf(pod(title)).volumes[0]?.secret?.secretName)
    assert.deepEqual(secrets, ['mcp-gateway-maintenance', 'mcp-gateway-maintenance-migrate'], 'the migrating role is a different one')
  })

  it('the migrating Job of a release replaces the previous one, whoever applies it', () => {
    const { metadata } = pod('the migrating Job') as Resource & { metadata: { annotations: unknown } }
    assert.deepEqual(metadata.annotations, {
      'argocd.argoproj.io/hook': 'PreSync',
      'argocd.argoproj.io/hook-delete-policy': 'BeforeHookCreation',
      'kustomize.toolkit.fluxcd.io/force': 'enabled',
    })
  })

  for (const [how, conditions, exit] of [
    ['that succeeds', ['SuccessCriteriaMet', 'Complete'], 0],
    ['that fails', ['FailureTarget', 'Failed'], 1],
  ] as const) {
    it(`the documented kubectl commands end like a migrating Job ${how}, at the first release and at the second`, { skip }, async () => {
      const readme = await readFile(`${CHECKOUT}deploy/README.md`, 'utf8')
      const [block = ''] = /^kubectl replace [^`]+(?=^```$)/m.exec(readme) ?? []
      const commands = block.trim().split('\n')
      assert.equal(commands.length, 4)
      await using server = await jobServer(conditions, 1_000)
      const kubectl = `kubectl --kubeconfig=/dev/null --server=${server.url}`
      for (const release of ['first', 'second']) {
        const exits: (number | undefined)[] = []
        for (const each of commands) {
          // The API here does not describe objects for validation, and a wait in vain is kept short.
          const command = each
            .replace(/^kubectl replace/, '$& --validate=false')
            .replace('--timeout=30s', '--timeout=2s')
            .replace(/^kubectl/, kubectl)
          const done = await run('sh', ['-c', command], { cwd: CHECKOUT })
          exits.push(done.code)
          if (each.startsWith('kubectl logs')) assert.equal(done.stdout, 'what it said', done.stderr)
        }
        assert.deepEqual(exits, [0, 0, 0, exit], release)
      }
    })
  }

  it('Prometheus finds every worker that serves metrics, by its label and port, and keeps its labels', () => {
    const { selector, podMetricsEndpoints } = object('deployment with all', 'PodMonitor')['spec'] as {
      selector: { matchLabels: Record<string, string> }
      podMetricsEndpoints: Record<string, unknown>[]
    }
    assert.deepEqual(podMetricsEndpoints, [{ port: 'maintenance', path: '/metrics', interval: '30s', honorLabels: true }])
    for (const [title, each] of PODS) {
      const { labels } = templateOf(each)!.metadata
      const found = Object.entries(selector.matchLabels).every(([name, value]) => labels[name] === value)
      assert.equal(found, workerOf(each).ports !== undefined, title)
    }
  })

  it("the operator's rules are those that are tested", async () => {
    for (const [from, to, name] of RULE_FILES)
      assert.equal(await readFile(`${CHECKOUT}${to}`, 'utf8'), await prometheusRule(from, name), 'run: npm run docs')
  })

  it("only Prometheus connects to a worker of its own and to the pods of its Jobs; a gateway's pods are left to the gateway", () => {
    const spec = object('deployment with all', 'NetworkPolicy')['spec'] as {
      podSelector: { matchLabels: Record<string, string> }
      policyTypes: string[]
      ingress: { ports: unknown[] }[]
    }
    assert.deepEqual(spec.policyTypes, ['Ingress'])
    assert.deepEqual(
      spec.ingress.map(({ ports }) => ports),
      [[{ protocol: 'TCP', port: HTTP_PORT }]],
    )
    const [[label, value]] = Object.entries(spec.podSelector.matchLabels) as [[string, string]]
    const chosen = PODS.filter(([, each]) => templateOf(each)!.metadata.labels[label] === value).map(([title]) => title)
    assert.deepEqual(chosen, ['the Deployment', 'the CronJob', 'the migrating Job', 'the archive check'])
  })
})
