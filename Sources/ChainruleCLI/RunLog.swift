import Chainrule
import Foundation

/// The log of a training run: a file of JSON objects, one a line, each written as its epoch or iteration ends.
struct RunLog {
  private let path: String
  private let file: FileHandle
  private let fold: Int?

  /// Begins the log, in place of what `path` held. Of a cross-validation it is that of a fold, counted from 1: the
  /// first begins it, the others go on; as does that of a run which goes on from a checkpoint, `goesOn`.
  init(path: String, fold: Int? = nil, goesOn: Bool = false) throws(ChainruleError) {
    try checkWritable(path, replacing: false)
    let start = goesOn || fold ?? 1 > 1 ? O_APPEND : O_TRUNC
    let descriptor = open(path, O_WRONLY | O_CREAT | start | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .file(path: path, reason: String(cString: strerror(errno))) }
    self.path = path
    self.fold = fold
    file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  func write(_ epoch: Epoch) throws(ChainruleError) {
    var figures: [(key: String, value: JSON?)] = [
      ("epoch", .integer(epoch.number)), ("loss", .number(epoch.loss)),
    ]
    if let validation = epoch.validation {
      figures.append(("validationLoss", .number(validation.loss)))
      for (name, value) in validation.metrics {
        figures.append(("validation\(name.prefix(1).uppercased())\(name.dropFirst())", .number(value)))
      }
    }
    try append(
      figures + [("learningRate", .number(epoch.learningRate)), ("seconds", .number(epoch.seconds))])
  }

  /// Of training on all rows at once.
  func write(iteration: Int, loss: Double, seconds: Double) throws(ChainruleError) {
    try append([("iteration", .integer(iteration)), ("loss", .number(loss)), ("seconds", .number(seconds))])
  }

  /// Appends a line. What is not a finite number is left out.
  private func append(_ figures: [(key: String, value: JSON?)]) throws(ChainruleError) {
    do {
      try file.write(contentsOf: Data("\(JSON.object([("fold", fold.map(JSON.integer))] + figures))\n".utf8))
    } catch {
      throw .file(path: path, reason: error.localizedDescription)
    }
  }
}
