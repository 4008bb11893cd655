import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { parseCommand } from '../../src/cli/parse.ts'
import { describeSettings } from '../../src/config/schema.ts'
import { CHECKOUT } from './checkout.ts'
import { isSchedule, type Container, type Manifest, type PodSpec } from './kubernetes.ts'
import { ENVIRONMENT, HTTP_PORT } from './offered.ts'

const FOLDER = `${CHECKOUT}deploy/kubernetes/`
const { version }: { version: string } = JSON.parse(await readFile(`${CHECKOUT}package.json`, 'utf8'))
/** The pages by path. */
const served = await readFile(`${CHECKOUT}src/http/routes.ts`, 'utf8')
const texts = new Map<string, string>()
for (const file of (await readdir(FOLDER)).toSorted()) texts.set(file, await readFile(`${FOLDER}${file}`, 'utf8'))
const VOLUME = 'archive-volume.yaml'
/** Those that have a pod. */
const manifests = new Map([...texts].filter(([file]) => file !== VOLUME).map(([file, text]) => [file, manifestOf(text)]))

function manifestOf(text: string): Manifest {
  return parse(text, { version: '1.1' }) as Manifest
}

function manifest(file: string): Manifest {
  const found = manifests.get(file)
  assert.ok(found !== undefined, file)
  return found
}

function podOf({ spec }: Manifest): PodSpec {
  return 'jobTemplate' in spec ? spec.jobTemplate.spec.template.spec : spec.template.spec
}

function workerOf(file: string, each = manifest(file)): Container {
  const { containers, initContainers = [] } = podOf(each)
  const found = [...initContainers, ...containers].find(({ name }) => name === 'maintenance')
  assert.ok(found !== undefined, file)
  return found
}

describe('what is shipped for Kubernetes', () => {
  it('is a sidecar, a worker of two replicas, a nightly run, a migration and a weekly look at the archive', () => {
    assert.deepEqual(
      [...manifests].map(([file, { apiVersion, kind }]) => `${file}: ${apiVersion} ${kind}`),
      [
        'archive-verify.yaml: batch/v1 CronJob',
        'cronjob.yaml: batch/v1 CronJob',
        'deployment.yaml: apps/v1 Deployment',
        'migrate-job.yaml: batch/v1 Job',
        'sidecar.yaml: apps/v1 Deployment',
      ],
    )
    const { spec } = manifest('deployment.yaml')
    assert.ok('replicas' in spec)
    assert.equal(spec.replicas, 2)
  })

  for (const [file, each] of manifests) {
    it(`${file} starts this version with arguments and settings that there are, and the URL from a file`, () => {
      const { image, args = [], env = [] } = workerOf(file)
      assert.equal(image.split(':').at(-1), version)
      parseCommand(args)
      assert.deepEqual(
        env.filter(({ name }) => !ENVIRONMENT.has(name)),
        [],
      )
      const url = env.find(({ name }) => name === 'DATABASE_URL_FILE')?.value ?? ''
      const mounted = workerOf(file).volumeMounts.find(({ mountPath }) => url.startsWith(`${mountPath}/`))
      assert.equal(mounted?.readOnly, true)
      assert.ok(
        podOf(each).volumes.some(({ name, secret }) => name === mounted.name && secret !== undefined && secret.defaultMode === 0o440),
      )
    })

    it(`${file} gives it no right, no token, no disk but /tmp, and little memory`, () => {
      const { securityContext, resources, volumeMounts } = workerOf(file)
      assert.deepEqual(securityContext, {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      })
      // Who reads the archive may have to do with large rows.
      const memory = file === 'archive-verify.yaml' ? '256Mi' : '128Mi'
      assert.deepEqual(resources, { requests: { cpu: '10m', memory: '96Mi' }, limits: { memory } })
      const pod = podOf(each)
      assert.equal(pod.automountServiceAccountToken, false)
      assert.equal(pod.securityContext.fsGroup, securityContext.runAsGroup)
      assert.ok(pod.terminationGracePeriodSeconds > 8)
      const writable = volumeMounts.filter(({ readOnly }) => readOnly !== true)
      assert.deepEqual(
        writable.map(({ mountPath }) => mountPath),
        ['/tmp'],
      )
      assert.ok(pod.volumes.some(({ name, emptyDir }) => name === writable[0]?.name && emptyDir?.medium === 'Memory'))
    })
  }

  const ARCHIVING = ['sidecar.yaml', 'deployment.yaml', 'cronjob.yaml']
  for (const file of ARCHIVING) {
    it(`${file} gets the folder of the archive from its comments, and nothing else`, () => {
      const text = texts.get(file)!
      assert.ok(text.includes(`sed 's/#archive //; s/memory: 128Mi/memory: 256Mi/' deploy/kubernetes/${file} | kubectl apply -f -`))
      // As sed does it: once a line.
      const archiving = manifestOf(text.replaceAll(/^(.*?)#archive /gm, '$1').replaceAll('memory: 128Mi', 'memory: 256Mi'))
      assert.deepEqual(workerOf(file, archiving).resources, { requests: { cpu: '10m', memory: '96Mi' }, limits: { memory: '256Mi' } })
      const added = workerOf(file, archiving).env!.filter(({ name }) => !workerOf(file).env!.some((each) => each.name === name))
      assert.deepEqual(added, [
        { name: 'ARCHIVE_ENABLED', value: 'true' },
        { name: 'ARCHIVE_DIRECTORY', value: '/archive' },
      ])
      assert.ok(added.every(({ name }) => ENVIRONMENT.has(name)))
      assert.deepEqual(workerOf(file, archiving).volumeMounts.slice(workerOf(file).volumeMounts.length), [
        { name: 'maintenance-archive', mountPath: '/archive' },
      ])
      assert.deepEqual(podOf(archiving).volumes.slice(podOf(manifest(file)).volumes.length), [
        { name: 'maintenance-archive', persistentVolumeClaim: { claimName: 'mcp-gateway-maintenance-archive' } },
      ])
    })
  }

  it('the archive is one volume for all, which is read every week and not written to', () => {
    const { kind, metadata, spec } = parse(texts.get(VOLUME)!) as {
      kind: string
      metadata: { name: string }
      spec: { accessModes: string[] }
    }
    assert.deepEqual(
      [kind, metadata.name, spec.accessModes],
      ['PersistentVolumeClaim', 'mcp-gateway-maintenance-archive', ['ReadWriteMany']],
    )
    const file = 'archive-verify.yaml'
    const { args, env, volumeMounts } = workerOf(file)
    assert.deepEqual(args, ['archive', 'verify'])
    assert.ok(env!.some(({ name, value }) => name === 'ARCHIVE_DIRECTORY' && value === '/archive'))
    assert.ok(volumeMounts.some((mount) => mount.mountPath === '/archive' && mount.readOnly === true))
    assert.ok(podOf(manifest(file)).volumes.some(({ persistentVolumeClaim: claim }) => claim?.claimName === metadata.name))
    const { spec: nightly } = manifest(file)
    assert.ok('jobTemplate' in nightly && isSchedule(nightly.schedule))
    // Where the answer is that something is wrong, the next one would be the same.
    assert.deepEqual(nightly.jobTemplate.spec.podFailurePolicy.rules, [
      { action: 'FailJob', onExitCodes: { operator: 'In', values: [1, 2] } },
    ])
  })

  for (const file of ['sidecar.yaml', 'deployment.yaml']) {
    it(`${file} asks what the worker answers: whether it is up to date before it counts as started, then whether it lives`, () => {
      const { env = [], ports = [], startupProbe, livenessProbe, readinessProbe } = workerOf(file)
      assert.equal(env.find(({ name }) => name === 'HTTP_ENABLED')?.value, 'true')
      // Of the pod alone, and not of loopback, where the kubelet does not come.
      assert.deepEqual(env.find(({ name }) => name === 'HTTP_HOST')?.valueFrom, { fieldRef: { fieldPath: 'status.podIP' } })
      assert.deepEqual(ports, [{ name: 'maintenance', containerPort: HTTP_PORT }])
      assert.deepEqual(startupProbe?.httpGet, { path: '/readyz', port: 'maintenance' })
      assert.deepEqual(livenessProbe?.httpGet, { path: '/healthz', port: 'maintenance' })
      for (const { httpGet } of [startupProbe, livenessProbe]) assert.ok(served.includes(`'${httpGet.path}'`), httpGet.path)
      assert.equal(readinessProbe, undefined)
      // A worker that waits for another's migration must not be killed for it.
      const lockTimeout = describeSettings().find(({ key }) => key === 'migrations.lockTimeout')?.default
      assert.equal(lockTimeout, '10m')
      assert.ok(startupProbe.periodSeconds * startupProbe.failureThreshold > 10 * 60)
    })
  }

  it('the sidecar is a native one: an init container that goes on running', () => {
    const { initContainers = [], containers } = podOf(manifest('sidecar.yaml'))
    assert.deepEqual(
      initContainers.map(({ name, restartPolicy }) => [name, restartPolicy]),
      [['maintenance', 'Always']],
    )
    assert.deepEqual(
      containers.map(({ name }) => name),
      ['gateway'],
    )
  })

  it('the nightly run and the migration end, are not tried again where a person must look, and never overlap', () => {
    const { spec } = manifest('cronjob.yaml')
    assert.ok('jobTemplate' in spec)
    assert.ok(isSchedule(spec.schedule))
    assert.deepEqual([spec.concurrencyPolicy, spec.timeZone, spec.startingDeadlineSeconds], ['Forbid', 'Etc/UTC', 3600])
    const migration = manifest('migrate-job.yaml').spec
    assert.ok('backoffLimit' in migration)
    for (const job of [spec.jobTemplate.spec, migration]) {
      assert.ok(job.activeDeadlineSeconds >= 3600 && job.backoffLimit <= 3)
      assert.equal(job.template.spec.restartPolicy, 'Never')
      assert.deepEqual(job.podFailurePolicy.rules, [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [2, 4, 5] } }])
    }
    assert.deepEqual([workerOf('cronjob.yaml').args, workerOf('migrate-job.yaml').args], [['--run-now'], ['migrate']])
    assert.notEqual(
      podOf(manifest('migrate-job.yaml')).volumes[0]?.secret?.secretName,
      podOf(manifest('cronjob.yaml')).volumes[0]?.secret?.secretName,
      'the migrating role is another one',
    )
  })
})
