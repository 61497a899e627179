internal import CChainrule
internal import ChainrulePlatform
import Synchronization

/// The folder in which a training run saves checkpoints, and when. It keeps the newest ones.
///
///     let checkpoints = Checkpoints(in: "run", every: .epochs(5))
///     let newest = try checkpoints.newest()
///     for try await epoch in trainer.epochs(100, on: train, checkpoints: checkpoints, resuming: newest) {
///       print(epoch)
///     }
///
/// A run that is interrupted at any point and resumed from its newest checkpoint gives the same bits as one
/// that was never interrupted. Each checkpoint stores a description of its run, and a run resumes only from a
/// checkpoint with the same description: see ``RunDescription``.
///
/// A folder belongs to one run. A run that does not resume from the folder's checkpoints is refused as long
/// as there are any, and so is a run in a folder that another process is using. Both throw
/// `ChainruleError.file` before anything is written.
///
/// The files are named by the number of updates: `checkpoint-000000001200.safetensors`. Each is also a model
/// file. After a crash every file with such a name is complete.
public struct Checkpoints: Hashable, Sendable {
  /// When a checkpoint is due.
  public enum Interval: Hashable, Sendable {
    /// After this many epochs.
    case epochs(Int)
    /// After this many updates, also in the middle of an epoch.
    case steps(Int)
  }

  /// The folder. It is created if it does not exist.
  public var folder: String
  /// When a checkpoint is due. Another one is saved at the end of the run, also when the task is cancelled.
  public var interval: Interval
  /// The number of newest checkpoints to keep.
  public var kept: Int
  /// Whether training continues when a checkpoint cannot be written; the epoch then reports it. Otherwise the
  /// error ends training.
  public var continuesOnFailure: Bool

  /// Creates a description of the checkpoints to save.
  ///
  /// - Parameters:
  ///   - folder: The path of the folder, which is created if it does not exist.
  ///   - interval: When a checkpoint is due.
  ///   - kept: The number of newest checkpoints to keep, at least 1.
  ///   - continuesOnFailure: Whether training continues when a checkpoint cannot be written.
  public init(
    in folder: String, every interval: Interval = .epochs(1), keeping kept: Int = 3,
    continuesOnFailure: Bool = false
  ) {
    self.folder = folder
    self.interval = interval
    self.kept = kept
    self.continuesOnFailure = continuesOnFailure
  }

  /// Returns the path of the newest complete checkpoint in the folder; `nil` if there is no checkpoint, or no
  /// folder.
  ///
  /// It reads checkpoints and compares their checksums, from the newest on, until one is complete.
  ///
  /// - Parameter report: Called with the error of each damaged checkpoint that is skipped: `.invalidModel`,
  ///   with its path and what is wrong.
  /// - Throws: `ChainruleError.file` for a folder or a file that cannot be read; the error of the newest
  ///   checkpoint if all are damaged.
  public func newest(
    onDamaged report: (ChainruleError) -> Void = { _ in }
  ) throws(ChainruleError) -> String? {
    var damaged: [ChainruleError] = []
    for name in try names().reversed() {
      do throws(ChainruleError) {
        _ = try checkpointNote(path(name))
        damaged.forEach(report)
        return path(name)
      } catch {
        guard case .invalidModel = error else { throw error }
        damaged.append(error)
      }
    }
    if let first = damaged.first { throw first }
    return nil
  }

  private func path(_ name: String) -> String { folder + "/" + name }

  private static let (prefix, suffix) = ("checkpoint-", ".safetensors")

  /// The names of the checkpoints, oldest first.
  private func names() throws(ChainruleError) -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder)
        .compactMap { name in isFile(name) ? Self.steps(name).map { (name, $0) } : nil }
        .sorted { $0.1 < $1.1 }.map(\.0)
    } catch {
      throw .file(path: folder, reason: Self.reason(of: error))
    }
  }

  /// Returns the reason for which the system refused a call of FileManager, in the words of strerror.
  private static func reason(of error: any Error) -> String {
    let code = ((error as? CocoaError)?.underlying as? POSIXError)?.code.rawValue
    return code.map { String(cString: strerror($0)) } ?? "\(error)"
  }

  private func isFile(_ name: String) -> Bool {
    var status = stat()
    return stat(path(name), &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Returns the number of updates in the name of a checkpoint; `nil` for other names.
  private static func steps(_ name: String) -> Int? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
    let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
    guard digits.count >= 12, digits.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) else {
      return nil
    }
    return Int(String(decoding: digits, as: UTF8.self))
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

  /// Creates and locks the folder, and removes the temporary files of processes that were killed while they
  /// wrote.
  ///
  /// - Throws: `ChainruleError.file` for a folder in use, and for a folder with checkpoints that do not
  ///   include `resumed`.
  func prepare(resuming resumed: String?) throws(ChainruleError) -> FolderLock {
    try checkPath(folder)
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .file(path: folder, reason: Self.reason(of: error))
    }
    let lock = try FolderLock(folder)
    if let newest = try names().last, !(resumed.map(contains) ?? false) {
      throw .file(
        path: folder,
        reason:
          "this folder has checkpoints of a run, the newest \(newest); resume from it, or choose another folder"
      )
    }
    FileReplacement.clean(folder)
    return lock
  }

  /// Returns whether a file is in the folder, after following links.
  private func contains(_ path: String) -> Bool {
    func real(_ path: String) -> String { URL(fileURLWithPath: path).resolvingSymlinksInPath().path }
    return URL(fileURLWithPath: real(path)).deletingLastPathComponent().path == real(folder)
  }

  /// Writes a checkpoint of the trainer, and removes the oldest ones beyond the number to keep. Newer ones,
  /// of a run that was resumed from an earlier checkpoint, stay.
  func write<Scalar>(_ state: RunState<Scalar>, of core: CoreTrainer<Scalar>) throws(ChainruleError) {
    let steps = core.steps
    let digits = String(steps)
    let name = Self.prefix + String(repeating: "0", count: max(0, 12 - digits.count)) + digits + Self.suffix
    try core.save(best: state.best.value?.network, note: state.note, to: path(name))
    for name in try names().filter({ Self.steps($0)! <= steps }).dropLast(kept) {
      try? FileManager.default.removeItem(atPath: path(name))
    }
  }
}

/// Returns the note of a checkpoint after checking the whole file; `nil` if it has none.
private func checkpointNote(_ path: String) throws(ChainruleError) -> String? {
  var note: UnsafeMutablePointer<CChar>?
  try check(path: path) { cr_checkpoint_note(path, &note, &$0) }
  defer { free(note) }
  return note.map { String(cString: $0) }
}

/// The state of a run of epochs, in addition to its trainer's.
struct RunState<Scalar: NetworkScalar>: Sendable {
  /// The number of epochs of the run.
  var done = 0
  /// The training loss of the last epoch.
  var lastLoss: Double?
  let best: BestOfRun<Scalar>
  var epochsSinceBest = 0
  /// The description of the run; empty if it neither saves checkpoints nor resumes from one.
  var description: RunDescription = [:]

  init(best: BestOfRun<Scalar>) { self.best = best }

  private struct Note: Codable {
    var done: Int
    var lastLoss, bestLoss: Double?
    var epochsSinceBest: Int
    var run: [RunDescription.Entry]?
  }

  /// The state as JSON, without the network.
  fileprivate var note: String {
    let note = Note(
      done: done, lastLoss: lastLoss, bestLoss: best.value?.loss, epochsSinceBest: epochsSinceBest,
      run: description.entries)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    // Numbers that are not finite end training before this point.
    return (try? encoder.encode(note)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  /// Restores the trainer from the checkpoint at `path`, and the state of its run. If the checkpoint is not
  /// one of a run, the state is that of `begun`.
  ///
  /// - Throws: `ChainruleError.differentRun` if the checkpoint's run is not the one that `begun` describes.
  init(
    restoring core: CoreTrainer<Scalar>, from path: String, as begun: RunState
  ) throws(ChainruleError) {
    self = begun
    guard let text = try checkpointNote(path) else {
      _ = try core.restore(from: path)
      return
    }
    guard let note = try? JSONDecoder().decode(Note.self, from: Data(text.utf8)),
      0...(1 << 53) ~= note.done, 0...note.done ~= note.epochsSinceBest
    else { throw .invalidModel(path: path, reason: "training, note: not that of a run of epochs") }
    var saved = RunDescription()
    for entry in note.run ?? [] { saved[entry.name] = entry.value }
    let differences = description.differences(from: saved)
    guard differences.isEmpty else { throw .differentRun(checkpoint: path, differences: differences) }
    let (best, _) = try core.restore(from: path)
    done = note.done
    lastLoss = note.lastLoss
    epochsSinceBest = note.epochsSinceBest
    if let loss = note.bestLoss, let best { self.best.value = (loss, best) }
  }
}

/// Writes the checkpoints that are due in the middle of an epoch, on the queue that trains, and stores the
/// error of one that could not be written.
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

  /// Called after a batch. Returns whether training continues.
  func batchEnded(steps: Int) -> Bool {
    guard case .steps(let interval) = checkpoints.interval, steps % interval == 0 else { return true }
    return result.withLock { result in
      guard steps > result.steps else { return true }  // more batches of the same update
      result.steps = steps
      do throws(ChainruleError) {
        try checkpoints.write(state, of: core)
      } catch {
        result.failure = error
      }
      return result.failure == nil || checkpoints.continuesOnFailure
    }
  }
}
