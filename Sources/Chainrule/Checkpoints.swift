import Foundation
import Synchronization

/// Where the epochs of a training run leave checkpoints, the newest of which are kept.
///
///     let checkpoints = Checkpoints(in: "run", every: .epochs(5))
///     let newest = try checkpoints.newest()
///     for try await epoch in trainer.epochs(100, on: train, checkpoints: checkpoints, resuming: newest) { print(epoch) }
///
/// A run that has been stopped, by whatever, and goes on from its newest checkpoint comes to the bits of one that never
/// stopped, where the network, the trainer, the data and the arguments of `epochs` are those of before.
///
/// The files are named by the number of updates, as `checkpoint-000000001200.safetensors`. Each is a model, too. After a
/// crash every file of that name is whole.
public struct Checkpoints: Hashable, Sendable {
  /// When a checkpoint is due.
  public enum Interval: Hashable, Sendable {
    /// After so many epochs.
    case epochs(Int)
    /// After so many updates, in the middle of an epoch too.
    case steps(Int)
  }

  /// The folder, which is made where there is none.
  public var folder: String
  /// When a checkpoint is due. Besides, there is one at the end of the run, also where the task is cancelled.
  public var interval: Interval
  /// How many of the newest stay.
  public var kept: Int
  /// Whether training goes on where a checkpoint cannot be written; the epoch then reports it. Otherwise the error
  /// ends training.
  public var goesOnAfterFailure: Bool

  /// - Parameters:
  ///   - kept: How many of the newest stay, at least 1.
  public init(
    in folder: String, every interval: Interval = .epochs(1), keeping kept: Int = 3,
    goesOnAfterFailure: Bool = false
  ) {
    self.folder = folder
    self.interval = interval
    self.kept = kept
    self.goesOnAfterFailure = goesOnAfterFailure
  }

  /// The path of the newest checkpoint of the folder; nil where there is none, or no folder.
  ///
  /// - Throws: `ChainruleError.file` for a folder that cannot be read.
  public func newest() throws(ChainruleError) -> String? { try names().last.map(path) }

  private func path(_ name: String) -> String { folder + "/" + name }

  private static let (prefix, suffix) = ("checkpoint-", ".safetensors")

  /// The names of the checkpoints, oldest first: as many digits as they have, they stand in the order of their numbers.
  private func names() throws(ChainruleError) -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
        let digits = name.dropFirst(Self.prefix.count).dropLast(Self.suffix.count)
        return name.hasPrefix(Self.prefix) && name.hasSuffix(Self.suffix) && digits.count >= 12
          && digits.allSatisfy(\.isNumber)
      }.sorted { ($0.count, $0) < ($1.count, $1) }
    } catch {
      throw .file(path: folder, reason: error.localizedDescription)
    }
  }

  func check() throws(ChainruleError) {
    switch interval {
    case .epochs(let count), .steps(let count):
      guard count >= 1 else {
        throw .invalidValue(name: "interval of checkpoints", value: "\(count)", expected: "at least 1")
      }
    }
    guard kept >= 1 else {
      throw .invalidValue(name: "checkpoints to keep", value: "\(kept)", expected: "at least 1")
    }
  }

  /// Makes the folder, and frees it of what a process left that was killed while it wrote.
  func prepare() throws(ChainruleError) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        // ".chainrule-", the process and a number: Sources/CChainrule/replace.c
        let parts = name.split(separator: "-")
        guard parts.count == 3, parts[0] == ".chainrule", let process = pid_t(parts[1]), process > 0,
          kill(process, 0) != 0, errno == ESRCH
        else { continue }
        try? FileManager.default.removeItem(atPath: path(name))
      }
    } catch {
      throw .file(path: folder, reason: error.localizedDescription)
    }
  }

  /// Writes a checkpoint of the trainer, and removes those that are older than the ones to keep.
  func write<Scalar>(_ state: RunState<Scalar>, of core: CoreTrainer<Scalar>) throws(ChainruleError) {
    let digits = String(core.steps)
    let name = Self.prefix + String(repeating: "0", count: max(0, 12 - digits.count)) + digits + Self.suffix
    try core.save(best: state.best?.network, note: state.note, to: path(name))
    for name in try names().dropLast(kept) { try? FileManager.default.removeItem(atPath: path(name)) }
  }
}

/// What a run of epochs knows besides its trainer.
struct RunState<Scalar: NetworkScalar>: Sendable {
  /// Epochs of the run.
  var done = 0
  /// The training loss of the last of them.
  var lastLoss: Double?
  /// The lowest loss, where there is patience, and the network that had it.
  var best: (loss: Double, network: CoreNetwork<Scalar>)?
  var epochsSinceBest = 0

  init() {}

  private struct Note: Codable {
    var done: Int
    var lastLoss, bestLoss: Double?
    var epochsSinceBest: Int
  }

  /// As JSON, without the network.
  fileprivate var note: String {
    let note = Note(done: done, lastLoss: lastLoss, bestLoss: best?.loss, epochsSinceBest: epochsSinceBest)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    // Numbers that are not finite end training before they come here.
    return (try? encoder.encode(note)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  /// Takes the trainer to the checkpoint at `path`, and gives what the run knew there: nothing where the checkpoint is not
  /// one of a run.
  init(restoring core: CoreTrainer<Scalar>, from path: String) throws(ChainruleError) {
    let (best, text) = try core.restore(from: path)
    guard let text else { return }
    guard let note = try? JSONDecoder().decode(Note.self, from: Data(text.utf8)), note.done >= 0,
      note.epochsSinceBest >= 0
    else { throw .invalidModel(path: path, reason: "training, note: not that of a run of epochs") }
    done = note.done
    lastLoss = note.lastLoss
    epochsSinceBest = note.epochsSinceBest
    if let loss = note.bestLoss, let best { self.best = (loss, best) }
  }
}

/// Writes the checkpoints of a run that are due in the middle of an epoch, on the queue that trains, and tells afterwards
/// whether one could not be written.
final class CheckpointWriter<Scalar: NetworkScalar>: Sendable {
  private let checkpoints: Checkpoints
  private let core: CoreTrainer<Scalar>
  private let state: RunState<Scalar>
  private let result: Mutex<(steps: Int, failure: ChainruleError?)>

  init(_ checkpoints: Checkpoints, of core: CoreTrainer<Scalar>, in state: RunState<Scalar>) {
    (self.checkpoints, self.core, self.state) = (checkpoints, core, state)
    result = Mutex((core.steps, nil))
  }

  var failure: ChainruleError? { result.withLock(\.failure) }

  /// After a batch; whether training goes on.
  func batchEnded(steps: Int) -> Bool {
    guard case .steps(let interval) = checkpoints.interval, steps % interval == 0 else { return true }
    return result.withLock { result in
      guard steps > result.steps else { return true }  // more batches of one update
      result.steps = steps
      do throws(ChainruleError) {
        try checkpoints.write(state, of: core)
      } catch {
        result.failure = error
      }
      return result.failure == nil || checkpoints.goesOnAfterFailure
    }
  }
}
