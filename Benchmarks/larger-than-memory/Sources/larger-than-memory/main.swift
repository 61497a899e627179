// Trains one epoch on a file that is larger than memory.
//
//   larger-than-memory csv FILE
//   larger-than-memory npy FEATURES TARGETS

import Chainrule
import Foundation

func train(on source: some BatchSource<Float>) throws {
  let network = try Network<Float>(inputs: source.inputs, seed: 1) {
    Dense(16, activation: .relu)
    Dense(source.outputs)
  }
  let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .adam(learningRate: 0.001))
  let clock = ContinuousClock()
  var loss = 0.0
  let time = try clock.measure { loss = try trainer.epoch(on: source, batchSize: 256) }
  print(
    "\(trainer.steps) updates in \((time / .seconds(1)).formatted(.number.precision(.fractionLength(1)))) s, loss \(loss)"
  )
}

do {
  let arguments = CommandLine.arguments.dropFirst()
  switch (arguments.first, arguments.count) {
  case ("csv", 2):
    try train(on: CSVSource<Float>(file: arguments[2], options: CSVOptions(header: .no, task: .regression)))
  case ("npy", 3): try train(on: NumPySource<Float>(features: arguments[2], targets: arguments[3]))
  default:
    FileHandle.standardError.write(Data("usage: larger-than-memory csv FILE | npy FEATURES TARGETS\n".utf8))
    exit(64)
  }
  var usage = rusage()
  #if os(Linux)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let unit = 1024  // ru_maxrss is in KiB, on Darwin in bytes.
  #else
    getrusage(RUSAGE_SELF, &usage)
    let unit = 1
  #endif
  print("peak resident memory \(usage.ru_maxrss * unit / 1_000_000) MB")
} catch {
  FileHandle.standardError.write(Data("\(error)\n".utf8))
  exit(1)
}
