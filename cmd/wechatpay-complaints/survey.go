package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

var surveyHelp = words{`逐日读取投诉单列表，再读取投诉单详情和协商历史，统计其中 SDK 尚不了解的字段、取值、
数据结构、时间格式等，以及微信支付文档未说明的行为。只发送 GET 请求。报告只含字段名、数据类型、
枚举值和计数，不含单号、文本、姓名、金额，可以附在问题反馈中。
`, `Reads the list day by day, then the details and histories of the complaints, and
reports the fields, values, shapes and time layouts in them that the SDK does not
know, and what WeChat Pay does not document. It sends only GET requests. The report
consists of field names, types, enumeration values and counts. It has no ids, texts,
names or amounts, so that it can be attached to an issue.
`}

func survey(a *app, flags *flag.FlagSet) func(context.Context) error {
	days := flags.Int("days", 30, a.of(words{
		"从今天起向前统计的`天数`，1 至 365（默认：30）",
		"number of `days` back from today, 1 to 365 (default: 30)"}))
	limit := flags.Int("limit", 50, a.of(words{
		"最多读取的投诉单`笔数`（默认：50）", "maximum `number` of complaints to read (default: 50)"}))
	pause := flags.Duration("pause", 300*time.Millisecond, a.of(words{
		"两次请求之间的`间隔`，以免占用商户的调用频率（默认：300ms）",
		"`pause` between requests, to leave the rate limits to others (default: 300ms)"}))
	return func(ctx context.Context) error {
		switch {
		case *days < 1 || *days > 365:
			return a.usagef(words{"--days 应为 1 至 365，实际为 %d", "--days must be 1 to 365, got %d"}, *days)
		case *limit < 1:
			return a.usagef(words{"--limit 应为 1 或更大，实际为 %d", "--limit must be 1 or more, got %d"}, *limit)
		}
		s := &surveyor{
			client:  a.client,
			pause:   *pause,
			report:  newSurveyReport(),
			listed:  make(map[string][]string),
			list:    &pageSizes{what: "list", sizes: []int{50, 20, 10, 5, 1}},
			history: &pageSizes{what: "history", sizes: []int{300, 200, 130, 100, 50, 20, 10, 5, 1}},
		}
		err := s.run(ctx, *days, *limit)
		if err != nil && s.report.complaints == 0 {
			return s.withoutIDs(err)
		}
		return errors.Join(s.withoutIDs(err), s.report.print(a.stdout, a.language))
	}
}

// A surveyor reads complaints and collects what is odd about them. It decodes
// responses itself, because the SDK drops what it does not know.
type surveyor struct {
	client  *wechatpay.Client
	pause   time.Duration
	report  *surveyReport
	listed  map[string][]string // the days on which a complaint was listed
	ids     []string            // of these complaints, in order
	list    *pageSizes
	history *pageSizes
}

// run reads the newest days first, until limit complaints are known.
func (s *surveyor) run(ctx context.Context, days, limit int) error {
	today := time.Now().In(beijing)
	for i := 0; i < days && len(s.ids) < limit; i++ {
		if err := s.readDay(ctx, dateOf(today.AddDate(0, 0, -i)), limit); err != nil {
			return err
		}
	}
	for _, id := range s.ids[:min(limit, len(s.ids))] {
		err := s.readComplaint(ctx, id)
		var refused *wechatpay.APIError
		if errors.As(err, &refused) {
			s.report.failed.add(same(fmt.Sprintf("%d %s", refused.StatusCode, enumValue(string(refused.Code)))))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// withoutIDs returns the error without the ids of complaints.
func (s *surveyor) withoutIDs(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, id := range s.ids {
		text = strings.ReplaceAll(text, id, "…")
	}
	return errors.New(text)
}

// get reads a JSON object.
func (s *surveyor) get(ctx context.Context, path string) (object, error) {
	if s.report.requests > 0 {
		timer := time.NewTimer(s.pause)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
	s.report.requests++
	var raw json.RawMessage
	if err := s.client.Do(ctx, http.MethodGet, path, nil, &raw); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var o object
	_ = decoder.Decode(&o) // not an object: examine reports that all fields are absent
	return o, nil
}

const surveyPath = "/v3/merchant-service/complaints-v2"

// readDay reads the list of a day.
func (s *surveyor) readDay(ctx context.Context, day string, limit int) error {
	path := surveyPath + "?begin_date=" + day + "&end_date=" + day
	return s.readPages(ctx, s.list, path, func(page []any) bool {
		s.report.addOrder("list", page, "complaint_time")
		for _, entry := range page {
			s.report.examine("list.data[]", complaintShape, entry)
			id, _ := field(entry, "complaint_id").(string)
			if id != "" && s.listed[id] == nil {
				s.ids = append(s.ids, id)
			}
			s.listed[id] = append(s.listed[id], day)
		}
		return len(s.ids) < limit
	})
}

// readComplaint reads the detail and the history of a complaint.
func (s *surveyor) readComplaint(ctx context.Context, id string) error {
	path := surveyPath + "/" + url.PathEscape(id)
	detail, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	s.report.complaints++
	s.report.examine("detail", complaintShape, detail)
	var records []any
	err = s.readPages(ctx, s.history, path+"/negotiation-historys?", func(page []any) bool {
		for _, record := range page {
			s.report.examine("history.data[]", recordShape, record)
		}
		records = append(records, page...)
		return len(records) < 10_000
	})
	s.report.addOrder("history", records, "operate_time")
	s.report.addRounds(detail, records, s.listed[id])
	return err
}

// pageSizes are the page sizes of an endpoint, largest first. One that is refused
// is not used again.
type pageSizes struct {
	what  string
	sizes []int
}

// maxSurveyPages bounds the pages of one list that are read.
const maxSurveyPages = 100

// readPages reads a list page by page until see returns false.
func (s *surveyor) readPages(ctx context.Context, p *pageSizes, path string, see func([]any) bool) error {
	total, pages := int64(0), 0
	for offset := 0; pages < maxSurveyPages; {
		size := p.sizes[0]
		page, err := s.get(ctx, fmt.Sprintf("%s&limit=%d&offset=%d", path, size, offset))
		var refused *wechatpay.APIError
		if errors.As(err, &refused) && refused.StatusCode == http.StatusBadRequest && len(p.sizes) > 1 {
			s.report.pages.add(words{
				fmt.Sprintf("%s %d：被拒绝，%d %s", p.what, size, refused.StatusCode, enumValue(string(refused.Code))),
				fmt.Sprintf("%s %d: refused, %d %s", p.what, size, refused.StatusCode, enumValue(string(refused.Code)))})
			p.sizes = p.sizes[1:]
			continue
		}
		if err != nil {
			return err
		}
		pages++
		s.report.examine(p.what, pageShape, page)
		if granted, ok := integer(page["limit"]); ok && granted > 0 && granted < int64(size) {
			s.report.pages.add(words{
				fmt.Sprintf("%s %d：实际为 %d", p.what, size, granted),
				fmt.Sprintf("%s %d: granted %d", p.what, size, granted)})
			size = int(granted)
		}
		if n, ok := integer(page["total_count"]); ok {
			total = n // only on the first page
		}
		data, _ := page["data"].([]any)
		offset += len(data)
		if len(data) == 0 || !see(data) || len(data) < size && int64(offset) >= total {
			return nil
		}
	}
	return nil
}

// addRounds adds what a complaint shows that was filed again.
func (r *surveyReport) addRounds(detail object, records []any, listed []string) {
	rounds, ok := integer(detail["user_complaint_times"])
	var filings []time.Time
	for _, record := range records {
		switch operation(record) {
		case wechatpay.OperateTypeUserCreateComplaint, wechatpay.OperateTypeUserContinueComplaint:
			at, _ := readTime(field(record, "operate_time"))
			filings = append(filings, at)
		}
	}
	if !ok || int64(len(filings)) != rounds {
		r.rounds.add(words{
			"user_complaint_times 与协商历史中的投诉次数不一致",
			"user_complaint_times differs from the filings in the history"})
	}
	if rounds < 2 || len(filings) < 2 {
		return
	}
	slices.SortFunc(filings, time.Time.Compare)
	first, last := filings[0], filings[len(filings)-1]
	r.rounds.add(words{"再次投诉的投诉单", "complaints that were filed again"})
	r.addListed(first, last, listed)
	if at, ok := readTime(detail["complaint_time"]); ok && at.Sub(first).Abs() > 2*time.Second {
		r.rounds.add(words{"complaint_time 不是首次投诉的时间", "complaint_time is not the time of the first filing"})
	}
	acted := slices.ContainsFunc(records, func(record any) bool {
		at, _ := readTime(field(record, "operate_time"))
		return strings.HasPrefix(string(operation(record)), "MERCHANT_") && !at.Before(last)
	})
	state, _ := detail["complaint_state"].(string)
	if acted {
		r.rounds.add(words{"再次投诉且商户已处理后的状态：" + enumValue(state), "state after the merchant acted: " + enumValue(state)})
	} else {
		r.rounds.add(words{"再次投诉后、商户处理前的状态：" + enumValue(state), "state before the merchant acted: " + enumValue(state)})
	}
}

// addListed adds the days on which a complaint was listed that was filed again.
func (r *surveyReport) addListed(first, last time.Time, listed []string) {
	for _, day := range listed {
		switch {
		case dateOf(first) == dateOf(last):
			r.rounds.add(words{"首次与最近一次投诉在同一天", "first and last filing on the same day"})
		case day == dateOf(first):
			r.rounds.add(words{"列在首次投诉的日期下", "listed under the day of the first filing"})
		case day == dateOf(last):
			r.rounds.add(words{"列在最近一次投诉的日期下", "listed under the day of the last filing"})
		default:
			r.rounds.add(words{"列在其他日期下", "listed under another day"})
		}
	}
}

func operation(record any) wechatpay.OperateType {
	name, _ := field(record, "operate_type").(string)
	return wechatpay.OperateType(name)
}
