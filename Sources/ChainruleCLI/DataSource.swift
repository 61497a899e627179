import ArgumentParser
import Chainrule
import Foundation

/// Where data come from.
enum DataSource {
  case bundled(BundledDataset)
  case csv(path: String)
  /// Standard input or another pipe, which has been read.
  case standardInput(DataFile)
  case idx(images: String)
  case npy(path: String)
  case npz(path: String)
  case fann(path: String)

  /// What DATA says on the command line. `format` is that of a file; nil: what its first bytes show.
  init(_ data: String, format: DataFile.Format? = nil) throws(ChainruleError) {
    if data == "-" {
      self = .standardInput(try DataFile(data, format: format))
    } else if let bundled = BundledDataset(rawValue: data) {
      self = .bundled(bundled)
    } else if fileKind(data) == nil {
      let names = BundledDataset.allCases.map(\.rawValue).joined(separator: ", ")
      let isName = !data.contains("/") && !data.contains(".")
      throw .file(
        path: data, reason: "there is no such file" + (isName ? ", and the bundled sets are \(names)" : ""))
    } else if fileKind(data) == S_IFREG {
      let shown = if let format { format } else { try DataFile.format(ofFile: data) }
      self =
        switch shown {
        case .csv: .csv(path: data)
        case .idx: .idx(images: data)
        case .npy: .npy(path: data)
        case .npz: .npz(path: data)
        case .fann: .fann(path: data)
        }
    } else {
      self = .standardInput(try DataFile(data, format: format))
    }
  }

  /// The format of the file; nil for a bundled set.
  var format: DataFile.Format? {
    switch self {
    case .bundled: nil
    case .csv: .csv
    case .standardInput(let file): file.format
    case .idx: .idx
    case .npy: .npy
    case .npz: .npz
    case .fann: .fann
    }
  }

  /// The file with its format; nil for a bundled set.
  private func file() throws(ChainruleError) -> (contents: DataFile, format: DataFile.Format)? {
    switch self {
    case .bundled: nil
    case .standardInput(let file): (file, file.format)
    case .csv(let path): (try DataFile(path, format: .csv), .csv)
    case .idx(let path): (try DataFile(path, format: .idx), .idx)
    case .npy(let path): (try DataFile(path, format: .npy), .npy)
    case .npz(let path): (try DataFile(path, format: .npz), .npz)
    case .fann(let path): (try DataFile(path, format: .fann), .fann)
    }
  }

  /// Refuses an option that only some formats have.
  func require(_ formats: [DataFile.Format], for option: String) throws(ValidationError) {
    if let format, formats.contains(format) { return }
    let names = formats.map(\.title)
    let list = names.count > 1 ? names.dropLast().joined(separator: ", ") + " and " + names.last! : names[0]
    throw ValidationError("\(option) is for \(list); \(self) is none")
  }
}

extension DataFile.Format {
  /// The name that messages give.
  fileprivate var title: String {
    switch self {
    case .csv: "CSV"
    case .idx: "IDX"
    case .npy: ".npy"
    case .npz: ".npz"
    case .fann: "FANN"
    }
  }
}

/// What the options say of the data besides ``CSVOptions``.
struct DataChoices {
  /// The file of labels, of IDX and `.npy`.
  var labels: String?
  /// The array of features, of `.npz`.
  var features: String?
}

extension DataSource: CustomStringConvertible {
  /// The name that errors give.
  var description: String {
    switch self {
    case .bundled(let set): "the bundled set \(set.rawValue)"
    case .csv(let path), .idx(let path), .npy(let path), .npz(let path), .fann(let path): path
    case .standardInput(let file): file.name ?? "standard input"
    }
  }

  /// An error about the data as a whole.
  func bad(_ reason: String) -> ChainruleError {
    .badData(file: description, line: nil, column: nil, reason: reason)
  }
}

// MARK: - To train on

extension DataSource {
  /// All rows, how the columns of CSV became their features, nil where those are numbers as they stand, and the bad rows
  /// left out. `trainedRows` are those of the data whose means and the like take the place of missing cells; nil: all.
  func encodedDataset<Scalar: NetworkScalar>(
    options: CSVOptions, choices: DataChoices, trainedRows: (Dataset<Scalar>) throws -> [Int]?
  ) throws -> (data: Dataset<Scalar>, encoding: FeatureEncoding?, skipped: SkippedRows) {
    guard let file = try file(), file.format == .csv else {
      return (try dataset(options: options, choices: choices), nil, SkippedRows())
    }
    var table = try CSVTable(file.contents, options: options)
    if options.skipsBadRows { table = try table.withoutBadRows(for: Scalar.self) }
    table.options.skipsBadRows = false
    var encoding = try FeatureEncoding(fitting: table)
    var data: Dataset<Scalar> = try Dataset(csv: table, encoding: encoding)
    if options.missing != nil, let rows = try trainedRows(data) {
      encoding = try FeatureEncoding(fitting: table, valuesOf: rows)
      data = try Dataset(csv: table, encoding: encoding)
    }
    let isPlain = options.categorical.isEmpty && options.missing == nil
    return (data, isPlain ? nil : encoding, table.skippedRows)
  }

  /// All rows. Of `options`, other formats than CSV have the targets and the task.
  func dataset<Scalar: NetworkScalar>(options: CSVOptions, choices: DataChoices) throws -> Dataset<Scalar> {
    guard let (file, format) = try file() else {
      guard case .bundled(let set) = self else { throw bad("there are no data") }
      return try .bundled(set)
    }
    switch format {
    case .csv: return try Dataset(csv: CSVTable(file, options: options))
    case .idx:
      let images = try IDXFile(file)
      return try Dataset(images: images, labels: IDXFile(file: choices.labels ?? labelsBesideImages()))
    case .npy:
      let array = try NumPyArray(file)
      guard let labels = choices.labels else { return try table(array, options) }
      return try Dataset(features: array, targets: NumPyArray(file: labels), task: options.task)
    case .npz:
      guard options.target.count <= 1 else {
        throw ValidationError("of an .npz archive --target names one array; got \(options.target.count)")
      }
      let (x, y) = try NumPyArchive(file).arrays(features: choices.features, targets: options.target.first)
      guard let y else { return try table(x, options) }
      return try Dataset(features: x, targets: y, task: options.task)
    case .fann: return try Dataset(fann: FANNFile(file), task: options.task)
    }
  }

  /// The rows of one array, of which --target names columns.
  private func table<Scalar: NetworkScalar>(_ array: NumPyArray, _ options: CSVOptions) throws -> Dataset<
    Scalar
  > {
    let targets = options.target.compactMap(Int.init)
    guard targets.count == options.target.count else {
      throw ValidationError("the columns of an array are numbered from 1; --target is \(options.target[0])")
    }
    return try Dataset(table: array, targets: targets, task: options.task)
  }

  /// ``labels(besides:)`` the images.
  private func labelsBesideImages() throws -> String {
    guard case .idx(let images) = self else {
      throw ValidationError("\(self) is an IDX file; name the one of its labels with --labels")
    }
    return try Self.labels(besides: images)
  }

  /// The file of labels that MNIST's naming puts beside a file of images.
  static func labels(besides images: String) throws -> String {
    let url = URL(fileURLWithPath: images)
    let name = url.lastPathComponent
    let labels = name.replacingOccurrences(of: "images", with: "labels")
      .replacingOccurrences(of: "idx3", with: "idx1")
    let path = url.deletingLastPathComponent().appendingPathComponent(labels).path
    guard labels != name, fileKind(path) != nil else {
      throw ValidationError("\(images) is an IDX file; name the one of its labels with --labels")
    }
    return path
  }
}

// MARK: - For a model

extension DataSource {
  /// All rows with the features and the targets that `model` has, in its order, and the bad rows left out. `encoding` is
  /// how columns of CSV become its features; nil: as they stand.
  func dataset<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: FeatureEncoding?, target: [String], delimiter: Character?,
    choices: DataChoices, skipsBadRows: Bool = false
  ) throws -> (data: Dataset<Scalar>, skipped: SkippedRows) {
    var data: Dataset<Scalar>
    var skipped = SkippedRows()
    if let file = try file(), file.format == .csv {
      var options = encoding?.options(delimiter: delimiter) ?? CSVOptions(delimiter: delimiter ?? ",")
      options.target = target
      options.skipsBadRows = skipsBadRows
      var table = try CSVTable(file.contents, options: options)
      table.options.task = model.classLabels == nil ? .regression : .classification
      try choose(target, for: model, named: encoding.map(\.columnNames) ?? model.featureNames, in: &table)
      if skipsBadRows { table = try table.withoutBadRows(for: Scalar.self, encoding: encoding) }
      table.options.skipsBadRows = false
      data = try encoding.map { try Dataset(csv: table, encoding: $0) } ?? Dataset(csv: table)
      skipped = table.skippedRows
    } else {
      let options = CSVOptions(target: target, task: model.classLabels == nil ? .regression : .classification)
      data = try dataset(options: options, choices: choices)
    }
    guard data.inputs == model.inputs else {
      throw bad("there are \(counted(data.inputs, "feature")); the model takes \(model.inputs)")
    }
    if let classes = model.classLabels {
      guard data.classLabels != nil else {
        throw bad(
          "the targets are quantities; the model predicts the classes \(classes.joined(separator: ", "))")
      }
      do {
        data = try data.withClasses(classes)
      } catch {
        guard case .badData(_, _, _, let reason) = error else { throw error }
        throw bad(reason)
      }
    }
    guard data.outputs == model.outputs else {
      throw bad("there are \(counted(data.outputs, "target")); the model predicts \(model.outputs)")
    }
    return (data, skipped)
  }

  /// Sets which columns of `table` are the model's: its features by name where both have `names`, otherwise all
  /// columns but the targets. Those are the ones asked for, or else the model's own by name, or else what is
  /// left beside the features, or else the last.
  private func choose<Scalar>(
    _ target: [String], for model: Model<Scalar>, named names: [String]?, in table: inout CSVTable
  ) throws(ChainruleError) {
    let count = model.classLabels == nil ? model.outputs : 1
    let columns = table.columnNames ?? (1...table.columns).map(String.init)
    let names = table.columnNames == nil ? nil : names
    table.options.features = names
    if !target.isEmpty {
      table.options.target = target
    } else if let own = model.targetNames, Set(own).isSubset(of: columns) {
      table.options.target = own
    } else if let names {
      for name in names { _ = try table.column(name) }
      let others = columns.filter { !names.contains($0) }
      guard others.count == count else {
        throw bad(
          others.isEmpty
            ? "there is no column besides the model's features; evaluating needs the target"
            : "any of \(others.joined(separator: ", ")) may be the target; name it with --target")
      }
      table.options.target = others
    } else {
      table.options.target = columns.suffix(count)
    }
  }

  /// The features that `model` takes, row-major: rows × inputs. `encoding` is how columns of CSV become them; nil:
  /// as they stand.
  func features<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: FeatureEncoding?, delimiter: Character?, choices: DataChoices
  ) throws -> [Scalar] {
    let features: [Scalar]
    let count: Int
    switch (try file(), self) {
    case (let (file, .csv)?, _):
      return try self.features(
        of: CSVTable(
          file, options: encoding?.options(delimiter: delimiter) ?? CSVOptions(delimiter: delimiter ?? ",")),
        for: model, encoding: encoding)
    case (let (file, .idx)?, _):
      let images = try IDXFile(file)
      (features, count) = (try images.values(), images.dimensions.dropFirst().reduce(1, *))
    case (let (file, .npy)?, _):
      let array = try NumPyArray(file)
      (features, count) = (try array.values(), array.columns)
    case (let (file, .npz)?, _):
      let (array, _) = try NumPyArchive(file).arrays(features: choices.features, needsTargets: false)
      (features, count) = (try array.values(), array.columns)
    case (let (file, .fann)?, _):
      let rows = try FANNFile(file)
      (features, count) = (try rows.values().inputs, rows.inputs)
    case (nil, .bundled(let set)):
      let data = try Dataset<Scalar>.bundled(set)
      (features, count) = (data.features, data.inputs)
    case (nil, _): throw bad("there are no data")
    }
    guard count == model.inputs else {
      throw bad("there are \(counted(count, "feature")); the model takes \(model.inputs)")
    }
    return features
  }

  private func features<Scalar: NetworkScalar>(
    of table: CSVTable, for model: Model<Scalar>, encoding: FeatureEncoding?
  ) throws(ChainruleError) -> [Scalar] {
    if let encoding {
      let isByName = table.columnNames != nil && encoding.columnNames != nil
      guard isByName || table.columns == encoding.columns.count else {
        throw bad(
          "there are \(counted(table.columns, "column")); the model's features are made of "
            + "\(encoding.columns.count)")
      }
      return try encoding.features(of: table)
    }
    let isByName = table.columnNames != nil && model.featureNames != nil
    guard isByName || table.columns == model.inputs else {
      throw bad(
        "there are \(counted(table.columns, "column")); the model takes \(counted(model.inputs, "feature"))"
      )
    }
    return try table.features(named: model.featureNames, count: model.inputs)
  }
}

extension SkippedRows {
  /// Says on standard error how many there are, and what is wrong with the first; nothing where there is none.
  func report() {
    guard let first else { return }
    Output.note("chainrule: \(counted(count, "bad row")) left out, the first: \(first)\n")
  }
}
