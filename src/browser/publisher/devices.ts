/** Camera and microphone: asks for what is there, and says in a code what stands in the way. */

export type DeviceProblem =
  /** The page came over plain http from another machine: browsers then offer no camera. */
  | 'insecure'
  /** The person, or an earlier choice, said no. */
  | 'denied'
  /** Neither camera nor microphone. */
  | 'none'
  /** Another program holds them, or the hardware fails. */
  | 'busy'

export class DeviceError extends Error {
  readonly problem: DeviceProblem

  constructor(problem: DeviceProblem, options?: { cause?: unknown }) {
    super(problem, options)
    this.problem = problem
  }
}

const video: MediaTrackConstraints = {
  width: { ideal: 640 },
  height: { ideal: 360 },
  frameRate: { ideal: 30 },
}
const audio: MediaTrackConstraints = {
  sampleRate: { ideal: 48_000 },
  echoCancellation: { ideal: true },
  noiseSuppression: { ideal: true },
}

/**
 * A camera without a microphone will do, and so will a microphone without a camera.
 * @throws DeviceError
 */
export async function openDevices(): Promise<MediaStream> {
  if (!isSecureContext || navigator.mediaDevices === undefined) throw new DeviceError('insecure')
  const there = await whatIsThere()
  if (!there.video && !there.audio) throw new DeviceError('none')
  const wanted: MediaStreamConstraints = {
    ...(there.video ? { video } : {}),
    ...(there.audio ? { audio } : {}),
  }
  try {
    return await navigator.mediaDevices.getUserMedia(wanted)
  } catch (cause) {
    const problem = problemOf(cause)
    // A person who said no is not asked again for half of it.
    if (problem === 'denied' || !(there.video && there.audio)) throw new DeviceError(problem, { cause })
    for (const part of [{ video }, { audio }]) {
      try {
        return await navigator.mediaDevices.getUserMedia(part)
      } catch {
        // The first failure says best what is wrong.
      }
    }
    throw new DeviceError(problem, { cause })
  }
}

/** Which kinds exist and were not refused for good. */
async function whatIsThere(): Promise<{ video: boolean; audio: boolean }> {
  const devices = await navigator.mediaDevices.enumerateDevices()
  const has = (kind: MediaDeviceKind): boolean => devices.some(device => device.kind === kind)
  const [camera, microphone] = await Promise.all([isRefused('camera'), isRefused('microphone')])
  const found = { video: has('videoinput'), audio: has('audioinput') }
  const allowed = { video: found.video && !camera, audio: found.audio && !microphone }
  // Where everything that exists was refused, asking tells the person so in the browser's own way.
  return allowed.video || allowed.audio ? allowed : found
}

async function isRefused(name: 'camera' | 'microphone'): Promise<boolean> {
  try {
    return (await navigator.permissions.query({ name })).state === 'denied'
  } catch {
    return false
  }
}

function problemOf(error: unknown): DeviceProblem {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'denied'
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'none'
  return 'busy'
}
