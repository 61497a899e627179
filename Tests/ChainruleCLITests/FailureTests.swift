import Foundation
import Testing

/// What a command line must end with: its exit status, and what standard error says.
struct Refusal: CustomTestStringConvertible, Sendable {
  let arguments: String
  let status: Int32
  let message: String

  init(_ arguments: String, _ status: Int32, _ message: String) {
    (self.arguments, self.status, self.message) = (arguments, status, message)
  }

  var testDescription: String { arguments }
}

@Suite("Wrong usage, bad data and failures")
struct FailureTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    try place.write("", to: "empty.csv")
    try place.write("a,b,y\n1,2,0.5\n3,nan,1.5\n", to: "nan.csv")
    try place.write("a,b,y\n1,2,0.5\n3,4,\n5,6,oops\n7,8,2\n", to: "oops.csv")
    try place.write("a,b,y\n1,2,0.5\n3,4\n", to: "ragged.csv")
    try place.write("a,b,y\n1,2,0.5\n3,4,-1.5\n", to: "good.csv")
    try place.write("a,b,y\n1,2,u\n3,4,u\n", to: "single.csv")
    try place.write("a,b\n1,2\n", to: "narrow.csv")
    try place.write("1,2,3,4,5\n", to: "wide.csv")
    try place.write("2 2 1\n0 0\n0.5\n\n1\n1.5\n", to: "cut.fann")
    try place.write("2 2 1\n0 0\n0.5\n1 1\n1.5\n", to: "xor.fann")
    try place.write("kind,a,y\nu,1,0.5\nv,,1.5\nu,3,0.25\n", to: "kinds.csv")
    func step(_ changes: [(String, String)] = []) -> String {
      changes.reduce(
        """
        {"inputs": 2, "layers": [
          {"type": "dense", "units": 2, "activation": "sigmoid", "weights": [[0.1, 0.2], [0.3, 0.4]]},
          {"type": "dense", "units": 1, "activation": "sigmoid", "weights": [[0.5, 0.6]]}],
         "loss": "binaryCrossEntropy", "optimizer": {"type": "sgd", "learningRate": 0.5},
         "batches": [{"x": [[0, 1]], "y": [[1]]}, {"x": [[0, 1]], "y": [[1]]}, {"x": [[0, 1]], "y": [[1]]}]}
        """
      ) { $0.replacing($1.0, with: $1.1) }
    }
    try place.write(step(), to: "step.json")
    try place.write(step([("0.5}", "-1}")]), to: "rate.json")
    try place.write(step([("[[1]]", "[[3.3]]")]), to: "target.json")
    try place.write(
      step([(#"2, "activation": "sigmoid""#, #"2, "activation": "softmax""#)]), to: "hidden.json")
    try place.write(step([("binaryCrossEntropy", "mse")]), to: "mse.json")
    try place.write(
      step([
        ("0.5}", "1e300}"), (#"1, "activation": "sigmoid""#, #"1, "activation": "identity""#),
        ("binaryCrossEntropy", "halfSquaredError"),
      ]), to: "diverges.json")
    try FileManager.default.createDirectory(at: place.url("folder"), withIntermediateDirectories: false)
    // No device: where the check is broken, what would be replaced lies in the test's own folder.
    guard mkfifo(place.url("pipe").path, 0o600) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
  }

  private func check(_ refusal: Refusal) throws {
    let run = try place.chainrule(refusal.arguments.split(separator: " ").map(String.init))
    #expect(run.status == refusal.status)
    #expect(run.output.isEmpty)
    let first = try #require(run.errors.split(separator: "\n").first)
    #expect(first.hasPrefix(refusal.status == 64 ? "Error: " : "chainrule: "))
    #expect(run.errors.contains(refusal.message))
    if refusal.status == 64 {
      #expect(run.errors.contains("\nUsage: chainrule "))
    } else {
      #expect(run.errors.count { $0 == "\n" } == 1)
    }
  }

  @Test(arguments: [
    Refusal("train", 64, "'<data>'"),
    Refusal("train iris --optimizer adm", 64, "\n  - adam\n"),
    Refusal("train iris --activation relo", 64, "\n  - relu\n"),
    Refusal("train iris --loss cross", 64, "\n  - crossEntropy\n"),
    Refusal("train iris --scalar float16", 64, "'float32' and 'float64'"),
    Refusal("train iris --activation softmax", 64, "only the output layer may be softmax"),
    Refusal(
      "train iris --output-activation identity --loss crossEntropy", 64, "crossEntropy needs a softmax output"
    ),
    Refusal("train iris --hidden 64,0", 64, "widths of at least 1"),
    Refusal("train iris --hidden 8,,8", 64, "widths of at least 1"),
    Refusal("train iris --epochs 0", 64, "--epochs is 0; expected at least 1"),
    Refusal("train iris --batch-size 0", 64, "--batch-size is 0; expected at least 1"),
    Refusal("train iris --patience 0", 64, "--patience is 0; expected at least 1"),
    Refusal("train iris --learning-rate 0", 64, "--learning-rate is 0.0; expected a number above 0"),
    Refusal("train iris --learning-rate nan", 64, "--learning-rate is nan"),
    Refusal("train iris --validation 1", 64, "--validation is 1.0; expected a fraction"),
    Refusal("train xor --validation 0.01", 64, "holds out 0 of 4 rows"),
    Refusal("train iris --target species", 64, "--target applies to CSV"),
    Refusal(
      "train iris --labels x", 64, "--labels applies to IDX and .npy only, not to the bundled set iris"),
    Refusal("train good.csv --delimiter 1", 64, "cannot be part of a number"),
    Refusal("train iris --threads 0", 64, "--threads is 0; expected 1 to 256"),
    Refusal("train iris --threads 257", 64, "--threads is 257; expected 1 to 256"),
    Refusal("train iris --threads two", 64, "--threads"),
    Refusal("train iris --schedule linear", 64, "\n  - cosineRestarts\n"),
    Refusal("train iris --schedule step", 64, "--schedule step needs --schedule-length"),
    Refusal("train iris --schedule cosineRestarts", 64, "--schedule cosineRestarts needs --schedule-length"),
    Refusal("train iris --schedule exponential", 64, "--schedule exponential needs --schedule-factor"),
    Refusal(
      "train iris --schedule-length 5", 64, "--schedule-length does not apply to the schedule constant"),
    Refusal("train iris --schedule cosine --schedule-factor 0.5", 64, "--schedule-factor does not apply"),
    Refusal("train iris --schedule step --schedule-patience 1", 64, "--schedule-patience does not apply"),
    Refusal("train iris --schedule oneCycle --minimum-rate 0", 64, "--minimum-rate does not apply"),
    Refusal(
      "train iris --schedule cosine --schedule-length 0", 64, "--schedule-length is 0; expected at least 1"),
    Refusal(
      "train iris --schedule exponential --schedule-factor 0", 64, "--schedule-factor is 0.0; expected"),
    Refusal(
      "train iris --schedule exponential --schedule-factor inf", 64, "--schedule-factor is inf; expected"),
    Refusal(
      "train iris --schedule plateau --schedule-factor 1", 64, "plateau: factor must be above 0, and less"),
    Refusal(
      "train iris --schedule plateau --schedule-patience=-1", 64, "--schedule-patience is -1; expected"),
    Refusal("train iris --schedule cosine --minimum-rate=-1", 64, "--minimum-rate is -1.0; expected"),
    Refusal("train iris --schedule cosine --minimum-rate nan", 64, "--minimum-rate is nan; expected"),
    Refusal("train iris --schedule oneCycle --epochs 1", 64, "oneCycle: length must be at least 2"),
    Refusal("train iris --warm-up=-1", 64, "--warm-up is -1; expected at least 0"),
    Refusal("train iris --warm-up -1", 64, "--warm-up is -1; expected at least 0"),
    Refusal("train iris --learning-rate -.5", 64, "--learning-rate is -0.5; expected a number above 0"),
    Refusal("train iris --l1 -inf", 64, "--l1 is -inf; expected a finite number, 0 or more"),
    Refusal("train iris --epochs --quiet", 64, "--epochs"),
    Refusal("train iris --quiet -1", 64, "--quiet"),
    Refusal(
      "train iris --schedule cosine --warm-up 9 --epochs 9", 64,
      "--warm-up is 9; expected fewer than all 9 epochs"),
    Refusal("train iris --layers 2", 64, "--layers"),
    Refusal("train iris --dropout 1", 64, "--dropout is 1.0; expected a fraction of at least 0 and below 1"),
    Refusal("train iris --dropout nan", 64, "--dropout is nan"),
    Refusal(
      "train iris --dropout 0.1 --hidden none", 64, "--dropout applies to hidden layers, but --hidden is"),
    Refusal("train iris --normalization group", 64, "'batch' and 'layer'"),
    Refusal("train iris --normalization layer --hidden none", 64, "--normalization applies to hidden layers"),
    Refusal(
      "train iris --normalization batch --batch-size 1", 64,
      "--batch-size is 1; expected at least 2 with --normalization batch"),
    Refusal(
      "train iris --residual --preset plain", 64, "--residual needs a hidden layer with as many units as"),
    Refusal("train iris --preset best", 64, "'recommended' and 'plain'"),
    Refusal("train iris --scale-targets", 64, "--scale-targets is for a regression with an identity output"),
    Refusal(
      "train iris --residual --hidden 8,9", 64, "--residual needs a hidden layer with as many units as"),
    Refusal("train iris --l1=-1", 64, "--l1 is -1.0; expected a finite number, 0 or more"),
    Refusal(
      "train iris --weight-decay nan", 64, "--weight-decay is nan; expected a finite number, 0 or more"),
    Refusal("train iris --label-smoothing 1", 64, "--label-smoothing is 1.0; expected a fraction"),
    Refusal(
      "train iris --label-smoothing 0.1 --loss meanSquaredError", 64,
      "--label-smoothing is 0.1, with the loss meanSquaredError; expected crossEntropy or binaryCrossEntropy"),
    Refusal("train iris --input-noise inf", 64, "--input-noise is inf; expected a number of at least 0"),
    Refusal("train iris --clip-norm 0", 64, "--clip-norm is 0.0; expected a number above 0"),
    Refusal("train iris --clip-value=-1", 64, "--clip-value is -1.0; expected a number above 0"),
    Refusal("train iris --max-norm nan", 64, "--max-norm is nan; expected a number above 0"),
    Refusal("train iris --accumulate 0", 64, "--accumulate is 0; expected at least 1"),
    Refusal(
      "train iris --class-weights even", 64, "--class-weights <weights>': expected balanced, or classes"),
    Refusal("train iris --class-weights setosa=-1", 64, "expected balanced, or classes"),
    Refusal("train iris --class-weights setosa=1,setosa=2", 64, "the class \"setosa\" has two weights"),
    Refusal(
      "train iris --class-weights rose=2", 64, "--class-weights: a class weight is for \"rose\"; expected"),
    Refusal(
      "train kinds.csv --quiet --preset plain --categorical 1 --missing 0 --class-weights balanced", 64,
      "--class-weights: the data"),
    Refusal("train iris --folds 1", 64, "--folds is 1; expected at least 2"),
    Refusal("train xor --folds 5", 64, "--folds is 5; expected at most the number of rows, 4"),
    Refusal("train iris --folds 3 --save m", 64, "--save and --folds cannot be combined"),
    Refusal("train iris --folds 3 --validation 0.2", 64, "--validation and --folds cannot be combined"),
    Refusal("train iris --stratified --validation 0", 64, "expected --validation above 0, or --folds"),
    Refusal("train good.csv --stratified --validation 0.5", 64, "--stratified: the data set is a regression"),
    Refusal("train good.csv --stratified --folds 2", 64, "--stratified: the data set is a regression"),
    Refusal(
      "train iris --categorical a", 64, "--categorical applies to CSV only, not to the bundled set iris"),
    Refusal("train iris --missing mean", 64, "--missing applies to CSV only, not to the bundled set iris"),
    Refusal("train kinds.csv --categorical a,,b", 64, "expected texts separated by commas"),
    Refusal("train kinds.csv --missing average", 64, "expected mean, median, mostFrequent, a number or"),
    Refusal("train iris --full-batch newton", 64, "'levenbergMarquardt', 'fletcherReeves'"),
    Refusal(
      "train iris --full-batch levenbergMarquardt", 64,
      "--full-batch: levenbergMarquardt needs a loss that is a sum"),
    Refusal(
      "train good.csv --full-batch lbfgs --loss crossEntropy", 64, "crossEntropy needs a softmax output"),
    Refusal("train iris --full-batch lbfgs --iterations 0", 64, "--iterations is 0; expected at least 1"),
    Refusal("train iris --full-batch lbfgs --history 0", 64, "--history is 0; expected at least 1"),
    Refusal("train iris --full-batch lbfgs --step-tolerance nan", 64, "--step-tolerance is nan; expected"),
    Refusal("train iris --full-batch bfgs --history 3", 64, "--history does not apply to bfgs"),
    Refusal("train iris --full-batch bfgs --memory 1GB", 64, "--memory does not apply to bfgs"),
    Refusal("train good.csv --full-batch levenbergMarquardt --memory -1MB", 64, "expected a number of bytes"),
    Refusal("train iris --iterations 5", 64, "--iterations needs --full-batch"),
    Refusal("train iris --full-batch bfgs --epochs 5", 64, "--epochs and --full-batch cannot be combined"),
    Refusal(
      "train iris --full-batch bfgs --optimizer sgd", 64, "--optimizer and --full-batch cannot be combined"),
    Refusal(
      "train iris --full-batch bfgs --batch-size 32", 64, "--batch-size and --full-batch cannot be combined"),
    Refusal("train iris --full-batch bfgs --learning-rate 1", 64, "--learning-rate and --"),
    Refusal(
      "train iris --full-batch bfgs --schedule constant", 64, "--schedule and --full-batch cannot be combined"
    ),
    Refusal(
      "train iris --full-batch bfgs --max-norm 1", 64, "--max-norm and --full-batch cannot be combined"),
    Refusal(
      "train iris --full-batch bfgs --normalization batch", 64, "--normalization batch and --"),
    Refusal(
      "train iris --full-batch bfgs --patience 5", 64, "--patience and --full-batch cannot be combined"),
    Refusal(
      "bench --workload W9", 64, "expected one of peak, W1a, W1b, W2, W3, W4, W5, W6, W7, I1s, I1m, I2s, I2m"),
    Refusal("bench --threads 0", 64, "--threads is 0; expected 1 to 256"),
    Refusal("bench --seconds 0", 64, "--seconds is 0.0; expected a number above 0"),
    Refusal("bench --seconds inf", 64, "--seconds is inf; expected a number above 0"),
    Refusal("train iris --format csv", 64, "--format applies to files only, not to the bundled set iris"),
    Refusal("train good.csv --features x", 64, "--features applies to .npz only, not to good.csv"),
    Refusal("train xor.fann --skip-bad-rows", 64, "--skip-bad-rows applies to CSV only, not to xor.fann"),
    Refusal("train xor.fann --labels good.csv", 64, "--labels applies to IDX and .npy only, not to xor.fann"),
    Refusal("frobnicate", 64, "there is no command \"frobnicate\"; the commands are train, evaluate"),
    Refusal("trian digits", 64, "there is no command \"trian\"; did you mean train?"),
    Refusal("help evalute", 64, "there is no command \"evalute\"; did you mean evaluate?"),
    Refusal("train iris --lr 0.1", 64, "Unknown option '--lr'. Did you mean '--learning-rate'?"),
    Refusal("train iris --batch_size 8", 64, "Unknown option '--batch_size'. Did you mean '--batch-size'?"),
    Refusal("train iris --n-epochs 8", 64, "Unknown option '--n-epochs'. Did you mean '--epochs'?"),
    Refusal("train iris --epoch 8", 64, "Unknown option '--epoch'. Did you mean '--epochs'?"),
    Refusal("train iris --random-state 8", 64, "Did you mean '--seed'?"),
    Refusal("train iris --epochs 1.5", 64, "is invalid for '--epochs <count>'; expected a whole number\n"),
    Refusal("train iris --patience ten", 64, "'--patience <epochs>'; expected a whole number\n"),
    Refusal("train iris --seed=-1", 64, "'--seed <number>'; expected a whole number of at least 0\n"),
    Refusal("train iris --dropout half", 64, "'--dropout <fraction>'; expected a number\n"),
    Refusal(
      "train iris --momentum 0.9", 64, "--momentum is not a hyper-parameter of adamw; sgd and rmsprop have it"
    ),
    Refusal(
      "train iris --optimizer adam --rho 0.5", 64, "--rho is not a hyper-parameter of adam; adadelta has it"),
    Refusal("train iris --optimizer sgd --nesterov", 64, "sgd: momentum"),
    Refusal("train iris --beta1 1", 64, "--beta1 is 1.0; expected 0 or more, and less than 1"),
    Refusal("train iris --optimizer sgd --momentum nan", 64, "--momentum is nan; expected a finite number"),
    Refusal("train iris --initializer gauss", 64, "expected one of default, glorotUniform"),
    Refusal("train iris --initializer uniform", 64, "expected uniform with a number, as uniform=0.1"),
    Refusal("train iris --initializer zeros=1", 64, "zeros has no number"),
    Refusal("train iris --initializer uniform=-1", 64, "the value of initializer uniform"),
    Refusal(
      "train iris --initial-weights m --hidden 3", 64,
      "--hidden and --initial-weights cannot be combined"),
    Refusal(
      "train iris --initial-weights m --folds 3", 64, "--folds and --initial-weights cannot be combined"),
    Refusal("train good.csv --initial-weights m --stream", 64, "--stream and --"),
    Refusal(
      "train iris --full-batch bfgs --momentum 1", 64, "--momentum and --full-batch cannot be combined"),
  ])
  func `wrong usage exits 64 and names the culprit`(refusal: Refusal) throws { try check(refusal) }

  @Test(arguments: [
    Refusal("evaluate good.csv iris", 65, "good.csv: this is not a model; expected a file that"),
    Refusal("inspect good.csv", 65, "good.csv: this is not a model; expected a file that"),
    Refusal("train iris --initial-weights good.csv", 65, "good.csv: this is not a model"),
    Refusal("train iris --initial-weights step.json", 65, "iris: there are 4 features; the model needs 2"),
    Refusal("explain folder", 65, "folder"),
    Refusal("explain good.csv", 65, "good.csv: line 1, column 1: '[' or '{' expected near 'a'"),
    Refusal("explain rate.json", 65, "rate.json: training: sgd: learning rate"),
    Refusal(
      "explain target.json", 65, "target.json, line 5, column 14: batch 1: targets, row 1, column 1: "),
    Refusal(
      "explain hidden.json", 65, "hidden.json, line 1, column 15: layers: layer 1 is softmax, which only"),
    Refusal("explain --example 2-2-3", 64, "there is no example 2-2-3; did you mean 2-2-"),
    Refusal("explain step.json --example xor", 64, "--step NAME chooses one of several steps in a file"),
    Refusal("explain", 64, "expected a step file, or --example NAME"),
    Refusal("explain step.json --sample 2", 64, "--sample is 2; the largest batch has 1 row"),
    Refusal("explain step.json --print", 64, "--print needs --example NAME"),
    Refusal("explain mse.json", 65, "mse.json, line 4, column 2: loss: unknown name mse; did you mean mean"),
    Refusal("explain diverges.json", 1, "training diverged: the loss: infinity at step 2"),
    Refusal("train empty.csv", 65, "empty.csv: the text is empty"),
    Refusal("train nan.csv --preset plain", 65, "nan.csv, line 3, column 2: b is \"nan\""),
    Refusal("train nan.csv --missing error", 65, "nan.csv, line 3, column 2: b is \"nan\""),
    Refusal(
      "train oops.csv --task regression", 65, "oops.csv, line 4, column 3: y is \"oops\"; expected a number"),
    Refusal("train ragged.csv", 65, "ragged.csv, line 3: there are 2 cells; expected 3, as in the first row"),
    Refusal("train good.csv --target z", 65, "good.csv: there is no column \"z\"; the columns are a, b, y"),
    Refusal("train single.csv", 65, "single.csv: all rows have the class \"u\""),
    Refusal(
      "train good.csv --output-activation softplus --loss poisson", 65,
      "targets, row 2, column 1: poisson needs targets 0 or more"),
    Refusal(
      "train good.csv --output-activation softplus --loss poisson --full-batch lbfgs", 65,
      "targets, row 2, column 1: poisson needs targets 0 or more"),
    Refusal(
      "train kinds.csv --preset plain --categorical kind", 65, "kinds.csv, line 3, column 2: a is empty"),
    Refusal(
      "train kinds.csv --missing error", 65, "kinds.csv, line 3, column 2: a is empty; expected a number"),
    Refusal(
      "train kinds.csv --preset plain", 65, "kinds.csv, line 2, column 1: kind is \"u\"; expected a number"),
    Refusal(
      "train kinds.csv --categorical b", 65, "kinds.csv: there is no column \"b\"; the columns are kind, a, y"
    ),
    Refusal("train kinds.csv --categorical y", 65, "\"y\" is categorical, but not a feature"),
    Refusal("inspect good.csv", 65, "good.csv: "),
    Refusal("train folder", 65, "folder: this is a directory; expected a file of data"),
    Refusal("train folder --format npy", 65, "folder: this is a directory"),
    Refusal("train good.csv --format npy", 65, "good.csv: this is not a .npy file"),
    Refusal("train xor.fann --format idx --labels good.csv", 65, "xor.fann: this is not an IDX file"),
    Refusal("train cut.fann", 65, "cut.fann, line 7: the file ends before output 1 of row 2"),
  ])
  func `bad data exit 65 and name the place`(refusal: Refusal) throws { try check(refusal) }

  @Test(arguments: [
    Refusal(
      "train nowhere", 1,
      "nowhere: there is no such file; the bundled sets are digits, iris, xor, spirals"),
    Refusal(
      "train good.csv --full-batch levenbergMarquardt --memory 1kB", 1,
      "its memory limit is 1000 bytes; a larger --memory allows it"),
    Refusal("train nowhere.csv", 1, "nowhere.csv: there is no such file"),
    Refusal("train iris --save folder", 1, "folder: cannot write: Is a directory"),
    Refusal("train iris --save pipe --quiet", 1, "pipe: cannot write: no process reads from this pipe"),
    Refusal("train iris --save missing/m", 1, "missing/m: cannot open the folder: No such file or directory"),
    Refusal(
      "train iris --log missing/run.jsonl", 1,
      "missing/run.jsonl: cannot open the folder: No such file or directory"),
    Refusal("evaluate missing iris", 1, "missing: "),
    Refusal("train iris --optimizer sgd --learning-rate 1e30 --quiet", 1, "training diverged in epoch 1: "),
  ])
  func `other failures exit 1 and name the culprit`(refusal: Refusal) throws { try check(refusal) }

  @Test func `a place to save in is checked before anything is trained`() throws {
    let run = try place.chainrule("train", "iris", "--epochs", "1000000000", "--save", "missing/m")
    #expect(run.status == 1)
    #expect(!run.errors.contains("epoch"))
  }

  @Test func `a network that cannot be leaves an old log as it was`() throws {
    try place.write("old", to: "run.jsonl")
    let run = try place.chainrule("train", "xor", "--loss", "crossEntropy", "--log", "run.jsonl")
    #expect(run.status == 64)
    #expect(try place.read("run.jsonl") == "old")
  }

  @Test func `a row that the loss refuses is given by its place in the file`() throws {
    let rows = (1...100).map { "\($0 % 50),\($0 == 70 ? "-0.5" : "0.25")\n" }.joined()
    try place.write(rows, to: "counts.csv")
    try check(
      Refusal(
        "train counts.csv --output-activation softplus --loss poisson --validation 0.1 --seed 3", 65,
        "targets, row 70, column 1"))
  }

  @Test func `a model that is cut short or does not fit the data exits 65`() throws {
    try place.chainrule("train", "iris", "--epochs", "1", "--save", "m", "--quiet")
    try place.write(Array(try place.bytes("m").dropLast(100)), to: "short")
    try check(Refusal("predict short iris", 65, "short: "))
    try check(Refusal("evaluate m digits", 65, "there are 64 features; the model needs 4"))
    try check(Refusal("evaluate m narrow.csv", 65, "narrow.csv: there is no column \"sepal"))
    try check(Refusal("predict m wide.csv", 65, "wide.csv: there are 5 columns; the model needs 4 features"))
    try check(Refusal("evaluate m xor", 65, "the model needs 4"))
  }

  @Test(arguments: ["recommended", "plain"])
  func `a prediction that is not finite is no result`(preset: String) throws {
    // Features of a deviation below 1: scaled, these are more than float32 has.
    try place.write("a,b,y\n1,0.2,0.5\n1.1,0.4,-1.5\n1.2,0.3,1\n", to: "small.csv")
    try place.chainrule(
      "train", "small.csv", "--preset", preset, "--epochs", "1", "--save", "m", "--quiet")
    try place.write("a,b\n1,0.2\n3e38,3e38\n", to: "large.csv")
    try check(Refusal("predict m large.csv", 65, "large.csv: row 2: the prediction is "))
    try check(Refusal("predict m large.csv --json", 65, "large.csv: row 2: the prediction is "))
  }

  @Test func `columns that may all be the target are listed`() throws {
    try place.chainrule("train", "good.csv", "--epochs", "1", "--save", "m", "--quiet")
    try place.write("a,b,p,q\n1,2,3,4\n", to: "more.csv")
    try check(Refusal("evaluate m more.csv", 65, "any of p, q may be the target; name it with --target"))
  }

  @Test func `help lists the commands and their examples`() throws {
    let help = try place.chainrule("--help")
    #expect(help.status == 0)
    for command in ["train", "evaluate", "predict", "inspect", "explain", "verify", "bench"] {
      #expect(help.output.contains("\n  \(command) "))
      #expect(try place.chainrule(command, "--help").status == 0)
    }
    #expect(try place.chainrule("train", "--help").output.contains("default: recommended"))
    #expect(try place.chainrule("--version").output.split(separator: ".").count == 3)
  }

  #if os(Linux)
    /// Takes the right to mount, as root has it; elsewhere nothing is tested.
    @Test func `arguments that cannot be read are no call for help`() throws {
      let executable = try #require(program)
      try place.makeFolder("nothing")
      let process = Process()
      process.executableURL = URL(filePath: "/bin/sh")
      process.arguments = [
        "-c",
        "unshare -m sh -c 'mount --make-rprivate / && mount --bind nothing /proc || exit 99; "
          + "exec \(executable.path) train xor' >out 2>err",
      ]
      process.currentDirectoryURL = place.folder
      try process.run()
      process.waitUntilExit()
      let errors = try place.read("err")
      guard process.terminationStatus != 99, !errors.hasPrefix("unshare:") else { return }
      #expect(process.terminationStatus == 1)
      #expect(try place.read("out").isEmpty && errors.contains("/proc is not there"), "\(errors)")
    }
  #endif
}
