import assert from 'node:assert/strict'
import { mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { PodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor'
import { PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { CronJob } from 'kubernetes-models/batch/v1/CronJob'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { PersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim'
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount'
import { parseAllDocuments, stringify } from 'yaml'
import { locationOf } from '../../src/archive/archive-location.ts'
import { MOST_PART_BYTES } from '../../src/archive/write/draft.ts'
import { parseCommand } from '../../src/cli/parse.ts'
import { loadSettings } from '../../src/config/load.ts'
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
const DOCTOR = 'mcp-gateway-maintenance-doctor'
/** Where the bucket is said, and the keys where there are any. */
const FROM_OUTSIDE = [{ configMapRef: { name: ARCHIVE } }, { secretRef: { name: ARCHIVE, optional: true } }]
const { version }: { version: string } = JSON.parse(await readFile(`${CHECKOUT}package.json`, 'utf8'))
/** The source with the paths that the worker serves. */
const served = await readFile(`${CHECKOUT}src/http/routes.ts`, 'utf8')
const skip = (await withoutKubectl()) ?? false

const WAYS = ['deployment', 'sidecar', 'sqlite-sidecar', 'cronjob', 'migrate-job'] as const
const ADDITIONS = ['doctor', 'archive', 'monitoring', 'monitoring-cronjob', 'monitoring-doctor', 'network-policy']
const rendered = new Map<string, readonly Resource[]>()
/** What a way has in addition, by the title under which it is rendered. */
const composed = new Map<string, { readonly way: string; readonly additions: readonly string[] }>()
for (const way of WAYS) {
  const resources = await kustomize(`${FOLDER}overlays/${way}`)
  rendered.set(way, resources)
  // Each way with every component, whether or not that makes sense there.
  composed.set(`${way} with all`, { way, additions: ADDITIONS })
  composed.set(`${way} with a bucket`, { way, additions: [way === 'cronjob' ? 'doctor-cronjob' : 'doctor', 'archive-bucket'] })
}
for (const [title, { way, additions }] of composed) {
  let all = rendered.get(way)!
  for (const addition of additions) all = await kustomize(`${FOLDER}components/${addition}`, all)
  rendered.set(title, all)
}
const EXAMPLES = ['example', 'example-bucket']
for (const example of EXAMPLES) rendered.set(example, await kustomize(`${FOLDER}${example}`))

function object(way: string, kind: string, name?: string): Resource {
  const found = rendered.get(way)!.filter((each) => each.kind === kind && (name === undefined || each.metadata.name === name))
  assert.equal(found.length, 1, `${way}: ${kind} ${name ?? ''}`)
  return found[0]!
}

/** The only object of a component. */
async function alone(component: string): Promise<Resource> {
  const [only, ...more] = await kustomize(`${FOLDER}components/${component}`)
  assert.deepEqual(more, [])
  return only!
}

function named(all: readonly Resource[]): unknown {
  return Object.fromEntries(all.map((each) => [`${each.kind} ${each.metadata.name}`, inOrder(each)]))
}

function podOf(each: Resource): PodSpec {
  return templateOf(each)!.spec
}

/** For each way, the object that has the worker's pod; the last ones look at what is there. */
const PODS: readonly (readonly [title: string, each: Resource])[] = [
  ['the Deployment', object('deployment', 'Deployment')],
  ['the sidecar', object('sidecar', 'Deployment')],
  ['the SQLite sidecar', object('sqlite-sidecar', 'Deployment')],
  ['the CronJob', object('cronjob', 'CronJob')],
  ['the migrating Job', object('migrate-job', 'Job')],
  ['the archive check', object('deployment with all', 'CronJob', `${ARCHIVE}-verify`)],
  ['doctor', await alone('doctor')],
]
const pod = (title: string): Resource => PODS.find(([each]) => each === title)![1]

const MODELS = {
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodMonitor,
  PrometheusRule,
  ServiceAccount,
}
const OF_THE_OPERATOR = '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'
const MODULES: Readonly<Record<keyof typeof MODELS, string>> = {
  ConfigMap: 'kubernetes-models/v1',
  CronJob: 'kubernetes-models/batch/v1',
  Deployment: 'kubernetes-models/apps/v1',
  Job: 'kubernetes-models/batch/v1',
  NetworkPolicy: 'kubernetes-models/networking.k8s.io/v1',
  PersistentVolumeClaim: 'kubernetes-models/v1',
  PodMonitor: OF_THE_OPERATOR,
  PrometheusRule: OF_THE_OPERATOR,
  ServiceAccount: 'kubernetes-models/v1',
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

/** Compares what was rendered under this title with what kubectl makes of the folder. */
async function resolved(title: string, folder: string): Promise<void> {
  const { code: exit, stdout, stderr } = await run('kubectl', ['kustomize', folder], { cwd: '/' })
  assert.equal(exit, 0, stderr)
  assert.equal(stderr, '', title)
  const byKubectl = parseAllDocuments(stdout, { version: '1.1' }).map((document) => document.toJS() as Resource)
  assert.deepEqual(named(rendered.get(title)!), named(byKubectl), title)
}

describe('what is shipped for Kubernetes', () => {
  it('is resolved by the tests as kubectl resolves it', { skip }, async () => {
    for (const way of WAYS) await resolved(way, `${FOLDER}overlays/${way}`)
    for (const example of EXAMPLES) await resolved(example, `${FOLDER}${example}`)
    const own = await realpath(await mkdtemp(join(tmpdir(), 'maintenance-kustomization-')))
    try {
      for (const [title, { way, additions }] of composed) {
        const path = (folder: string): string => relative(own, `${FOLDER}${folder}`)
        const components = additions.map((each) => path(`components/${each}`))
        await writeFile(join(own, 'kustomization.yaml'), stringify({ resources: [path(`overlays/${way}`)], components }))
        await resolved(title, own)
      }
    } finally {
      await rm(own, { recursive: true, force: true })
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

  it('is a worker of two replicas, two sidecars, a nightly run, a migration, a weekly archive check and a daily doctor', () => {
    assert.deepEqual(
      PODS.map(([, { apiVersion, kind, metadata }]) => `${apiVersion} ${kind} ${metadata.name}`),
      [
        'apps/v1 Deployment mcp-gateway-maintenance',
        'apps/v1 Deployment mcp-gateway',
        'apps/v1 Deployment mcp-gateway',
        'batch/v1 CronJob mcp-gateway-maintenance',
        'batch/v1 Job mcp-gateway-maintenance-migrate',
        `batch/v1 CronJob ${ARCHIVE}-verify`,
        `batch/v1 CronJob ${DOCTOR}`,
      ],
    )
    const replicas = (title: string): unknown => (pod(title)['spec'] as { replicas: number }).replicas
    assert.deepEqual(['the Deployment', 'the sidecar', 'the SQLite sidecar'].map(replicas), [2, 2, 1])
    assert.equal(podOf(pod('the Deployment')).topologySpreadConstraints?.length, 1)
    for (const objects of rendered.values()) assert.ok(objects.every(({ kind }) => kind !== 'PodDisruptionBudget'))
    // Each example sets the image of this version in every object.
    for (const [example, pods] of [
      ['example', 2],
      ['example-bucket', 3],
    ] as const) {
      const images = rendered
        .get(example)!
        .filter((each) => templateOf(each) !== undefined)
        .map((each) => workerOf(each).image)
      assert.deepEqual(new Set(images), new Set([`registry.example.com/platform/mcp-gateway-maintenance:${version}`]))
      assert.equal(images.length, pods)
    }
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
      // Reading the archive may involve large rows, and doctor has as much as under systemd.
      const memory = title === 'the archive check' || title === 'doctor' ? '256Mi' : '128Mi'
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

  for (const [way, kind] of [
    ['deployment', 'Deployment'],
    ['sidecar', 'Deployment'],
    ['cronjob', 'CronJob'],
  ] as const) {
    it(`with a bucket the worker of ${way} has its place, its identity and a disk for files on their way, and nothing else changes`, () => {
      const [without, archiving] = [object(way, kind), object(`${way} with a bucket`, kind, object(way, kind).metadata.name)]
      const worker = workerOf(archiving)
      assert.deepEqual(worker.resources, { requests: { cpu: '10m', memory: '96Mi' }, limits: { memory: '256Mi' } })
      assert.deepEqual(worker.env!.slice(workerOf(without).env!.length), [
        { name: 'ARCHIVE_ENABLED', value: 'true' },
        { name: 'ARCHIVE_SPOOL', value: '/spool' },
      ])
      assert.deepEqual(worker.envFrom, FROM_OUTSIDE)
      assert.deepEqual(worker.volumeMounts.slice(workerOf(without).volumeMounts.length), [
        { name: 'maintenance-spool', mountPath: '/spool' },
      ])
      // On the node's disk, not in memory, and with room for what the program asks for: three parts.
      assert.deepEqual(podOf(archiving).volumes.slice(podOf(without).volumes.length), [
        { name: 'maintenance-spool', emptyDir: { sizeLimit: '512Mi' } },
      ])
      assert.ok(512 * 2 ** 20 > 3 * MOST_PART_BYTES)
      // The rights of a gateway's pod are the gateway's.
      assert.equal(podOf(archiving).serviceAccountName, way === 'sidecar' ? undefined : 'mcp-gateway-maintenance')
      const back = structuredClone(archiving)
      const { env, resources, volumeMounts } = structuredClone(workerOf(without))
      Object.assign(workerOf(back), { env, resources, volumeMounts, envFrom: undefined })
      Object.assign(podOf(back), { volumes: podOf(without).volumes, serviceAccountName: undefined })
      assert.deepEqual(JSON.parse(JSON.stringify(back)), without)
    })
  }

  it('with a bucket nothing has a persistent volume, a token of the cluster or a role in it, and the weekly check reads the same place', () => {
    for (const way of ['deployment', 'sidecar', 'cronjob']) {
      const objects = rendered.get(`${way} with a bucket`)!
      assert.deepEqual(
        objects.filter(({ kind }) => /PersistentVolume|Role/.test(kind)),
        [],
      )
      assert.ok(!JSON.stringify(objects).includes('persistentVolumeClaim'))
      const account = object(`${way} with a bucket`, 'ServiceAccount')
      assert.deepEqual([account.metadata.name, account['automountServiceAccountToken']], ['mcp-gateway-maintenance', false])
      const check = object(`${way} with a bucket`, 'CronJob', `${ARCHIVE}-verify`)
      const { env = [], envFrom, volumeMounts } = workerOf(check)
      assert.deepEqual(envFrom, FROM_OUTSIDE)
      assert.deepEqual(
        env.map(({ name }) => name),
        ['DATABASE_URL_FILE'],
      )
      assert.ok(volumeMounts.every(({ mountPath }) => mountPath !== '/spool'))
      assert.deepEqual([podOf(check).serviceAccountName, podOf(check).automountServiceAccountToken], [account.metadata.name, false])
    }
  })

  it('the example with a bucket names a place that the program accepts, for every pod, and its role', async () => {
    const { data, metadata } = object('example-bucket', 'ConfigMap') as Resource & { data: Record<string, string> }
    assert.equal(metadata.name, ARCHIVE)
    assert.deepEqual(
      Object.keys(data).filter((name) => !ENVIRONMENT.has(name)),
      [],
    )
    const pods = rendered.get('example-bucket')!.filter((each) => templateOf(each) !== undefined)
    assert.equal(pods.length, 3)
    for (const each of pods) {
      const { env = [], envFrom } = workerOf(each)
      assert.deepEqual(envFrom, FROM_OUTSIDE)
      const values = env.flatMap(({ name, value }) => (value === undefined || name.startsWith('DATABASE_URL') ? [] : [[name, value]]))
      const given = { ...data, ...Object.fromEntries(values), DATABASE_URL: 'postgres://localhost/mcp_gateway' }
      const { archive } = await loadSettings({ packageRoot: CHECKOUT, workingDirectory: '/', env: given, configFile: undefined })
      assert.deepEqual([archive.location, archive.s3.region], [locationOf(data['ARCHIVE_DIRECTORY']!), data['ARCHIVE_S3_REGION']])
      assert.equal(archive.location.kind, 's3')
    }
    const account = object('example-bucket', 'ServiceAccount') as Resource & { metadata: { annotations: Record<string, string> } }
    assert.deepEqual(account.metadata.annotations, {
      'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/mcp-gateway-archive',
    })
  })

  it('doctor looks every morning with the settings that the archive and the CronJob have, and is tried again only where it may help', () => {
    const { schedule, timeZone, concurrencyPolicy, jobTemplate } = pod('doctor')['spec'] as CronJobSpec
    assert.equal(scheduleProblem(schedule), undefined)
    assert.deepEqual([schedule, timeZone, concurrencyPolicy], ['0 6 * * *', 'Etc/UTC', 'Forbid'])
    assert.deepEqual(jobTemplate.spec.podFailurePolicy.rules, [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1, 2] } }])
    const settingsOf = (title: string, name: string): unknown =>
      Object.fromEntries(workerOf(object(title, 'CronJob', name)).env!.map((each) => [each.name, each.value]))
    const url = '/run/secrets/mcp-gateway-maintenance/database_url'
    const nightly = { DATABASE_URL_FILE: url, MAINTENANCE_CONFIG: '/app/config/nightly.yaml' }
    const bucket = { ARCHIVE_ENABLED: 'true', ARCHIVE_SPOOL: '/spool' }
    assert.deepEqual(settingsOf('deployment with all', DOCTOR), {
      DATABASE_URL_FILE: url,
      ARCHIVE_ENABLED: 'true',
      ARCHIVE_DIRECTORY: '/archive',
    })
    assert.deepEqual(settingsOf('deployment with a bucket', DOCTOR), { DATABASE_URL_FILE: url, ...bucket })
    assert.deepEqual(settingsOf('cronjob with a bucket', DOCTOR), { ...nightly, ...bucket })
    assert.deepEqual(settingsOf('cronjob with a bucket', 'mcp-gateway-maintenance'), { ...nightly, ...bucket })
    // Whether the folder can be written to is judged as a run would find it.
    const { volumeMounts } = workerOf(object('deployment with all', 'CronJob', DOCTOR))
    assert.deepEqual(
      volumeMounts.find(({ mountPath }) => mountPath === '/archive'),
      { name: 'maintenance-archive', mountPath: '/archive' },
    )
  })

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
    assert.deepEqual(chosen, ['the Deployment', 'the CronJob', 'the migrating Job', 'the archive check', 'doctor'])
  })
})
