/** What every page of the bench carries: the camera in place of the browser's, the probe, the reference's ends. */
import type { LagPage } from '../face.ts'
import { replaceCamera } from './camera.ts'
import { BarePeer } from './peer.ts'
import { Probe } from './probe.ts'

declare global {
  interface Window {
    lagBench: LagPage
  }
}

let probe: Probe | undefined
let recorders = 0

const now = (): number => performance.timeOrigin + performance.now()

replaceCamera()
if ('MediaRecorder' in globalThis) {
  globalThis.MediaRecorder = new Proxy(MediaRecorder, {
    construct(target, given, wanted) {
      recorders += 1
      return Reflect.construct(target, given, wanted) as object
    },
  })
}

window.lagBench = {
  look(selector) {
    probe = new Probe(selector)
  },
  take: () => probe?.take() ?? { at: now(), looks: [], misread: 0, spent: 0 },
  now,
  recorders: () => recorders,
  peer: new BarePeer(),
}
