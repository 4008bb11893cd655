import type { Resource } from './kustomize.ts'

/** The part of Kubernetes' objects that the tests look at. The schemas check the rest. */
export interface PodSpec {
  readonly restartPolicy?: string
  readonly serviceAccountName?: string
  readonly automountServiceAccountToken: boolean
  readonly enableServiceLinks: boolean
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: { readonly fsGroup: number; readonly runAsUser?: number }
  readonly topologySpreadConstraints?: readonly unknown[]
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly {
    readonly name: string
    readonly secret?: { readonly secretName: string; readonly defaultMode: number }
    readonly emptyDir?: { readonly medium?: string; readonly sizeLimit?: string }
    readonly persistentVolumeClaim?: { readonly claimName: string }
  }[]
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly restartPolicy?: string
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[]
  readonly envFrom?: readonly unknown[]
  readonly ports?: readonly unknown[]
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly resources: unknown
  readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number }
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds: number
  readonly failureThreshold: number
}

interface Template {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly spec: PodSpec
}

export interface JobSpec {
  readonly backoffLimit: number
  readonly activeDeadlineSeconds: number
  readonly ttlSecondsAfterFinished: number
  readonly podFailurePolicy: { readonly rules: readonly unknown[] }
  readonly template: Template
}

export interface CronJobSpec {
  readonly schedule: string
  readonly timeZone: string
  readonly concurrencyPolicy: string
  readonly startingDeadlineSeconds: number
  readonly jobTemplate: { readonly spec: JobSpec }
}

/** `undefined`: an object without pods. */
export function templateOf({ spec }: Resource): Template | undefined {
  const { template, jobTemplate } = (spec ?? {}) as { template?: Template; jobTemplate?: { spec: { template: Template } } }
  return template ?? jobTemplate?.spec.template
}

/** The worker's container among those of the pod. */
export function workerOf(each: Resource): Container {
  const { containers, initContainers = [] } = templateOf(each)!.spec
  const found = [...initContainers, ...containers].find(({ name }) => name === 'maintenance')
  if (found === undefined) throw new Error(`${each.kind} ${each.metadata.name} has no container of the worker's`)
  return found
}
